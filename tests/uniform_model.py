"""A model for tests whose tokens are characters and given texts, each as probable as the next."""

from collections.abc import Iterable, Sequence
from pathlib import Path

TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}assistant{% endif %}"
)


def build_uniform_model(folder: Path, characters: Iterable[str], positions: int, texts: Sequence[str] = ()) -> None:
    """Write a Qwen2 with zero output weights: each token is as probable as the next, and so is the end.

    Args:
        folder: where to write model and tokenizer.
        characters: the vocabulary, in the alphabet of byte-level BPE, where "\u0120" is the space.
        positions: `max_position_embeddings`.
        texts: more tokens, each a whole text.
    """
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    # Byte-level BPE without merges.
    vocabulary = {token: number for number, token in enumerate(["<end>", *characters])}
    bytes_ = Tokenizer(models.BPE(vocabulary, []))
    bytes_.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_.decoder = decoders.ByteLevel()
    bytes_.add_special_tokens([AddedToken("<end>", special=True)])
    bytes_.add_tokens([AddedToken(text, normalized=False) for text in texts])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bytes_, eos_token="<end>", pad_token="<end>")
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    config = Qwen2Config(
        vocab_size=len(vocabulary) + len(texts),
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=positions,
        eos_token_id=0,
        pad_token_id=0,
        bos_token_id=None,
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(config)
    torch.nn.init.zeros_(model.lm_head.weight)
    model.save_pretrained(folder)
