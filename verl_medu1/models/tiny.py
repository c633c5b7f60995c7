"""A small, randomly initialised Qwen2 with its own tokenizer, for the quickstart and for tests."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from reward_score.response import TAGS
from verl_medu1.models.folder import correct_description

VOCABULARY = 512
MAX_POSITIONS = 512
HEADS = 4
LAYERS = 2
PAD, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"

# Qwen's chat format, without a default system message: verl renders message by message.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def read_warmup_texts(data: Path, source: str = "quickstart") -> list[str]:
    """Return the texts of the messages in data/warmup.parquet, or in another file of demonstrations.

    Args:
        data: folder of a generated data set, or a file in it.
        source: `medu1 prepare --source` that makes one, for the sentence.

    Raises:
        ValueError: there is no such file, or it has no column `messages`.
    """
    path = data if data.suffix == ".parquet" else data / "warmup.parquet"
    if not path.is_file():
        raise ValueError(f"--data {path.parent} has no {path.name}; make it with `medu1 prepare --source {source}`.")
    if "messages" not in pq.read_schema(path).names:
        raise ValueError(f"{path} has no column messages; make it with `medu1 prepare --source {source}`.")
    column = pq.read_table(path, columns=["messages"])["messages"].to_pylist()
    return [message["content"] for messages in column for message in messages]


def train_tokenizer(texts: Iterable[str], vocabulary: int = VOCABULARY, special: Sequence[str] = ()) -> Any:
    """Train a byte-level BPE tokenizer with Qwen's chat format.

    Each tag of the response format is one token, but not a special token, so that it survives `skip_special_tokens`.

    Args:
        texts: training texts.
        vocabulary: maximum number of tokens, including tags and special tokens; short texts give fewer.
        special: special tokens beside those of the chat format.

    Returns:
        A `transformers.Qwen2Tokenizer` with an even number of tokens, `<|im_end|>` as end of sequence and
        `<|endoftext|>` as padding.
    """
    from tokenizers import AddedToken
    from transformers import Qwen2Tokenizer

    # Use Qwen2's own rules for splitting text: every loader applies them to a model of this type.
    blank = Qwen2Tokenizer(
        eos_token=TURN_END,
        pad_token=PAD,
        additional_special_tokens=[TURN_START, *special],
        model_max_length=MAX_POSITIONS,
    )
    roles = "system\nuser\nassistant\n"
    corpus = [roles * 100, *(_without_tags(text) for text in texts)]
    tokenizer = blank.train_new_from_iterator(corpus, vocab_size=vocabulary - len(TAGS), show_progress=False)
    tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in TAGS])
    if len(tokenizer) % 2:
        # Tensor parallelism of two halves the vocabulary.
        tokenizer.add_tokens([AddedToken("<|unused|>", special=True, normalized=False)])
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _without_tags(text: str) -> str:
    for tag in TAGS:
        text = text.replace(tag, " ")
    return text


def text_settings(tokenizer: Any, hidden: int = 128, layers: int = LAYERS, rope_theta: float = 100.0) -> dict[str, Any]:
    """Return the settings of a small Qwen2 for texts of this tokenizer.

    A large initialiser range for the hidden size, and a small rope base for short texts: both make the model learn in
    far fewer steps.

    Args:
        tokenizer: of `train_tokenizer`.
        hidden: hidden size, a multiple of 8.
        layers: number of layers.
        rope_theta: base of the rotations.
    """
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": hidden,
        "intermediate_size": 3 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": HEADS,
        "num_key_value_heads": 2,
        "max_position_embeddings": MAX_POSITIONS,
        "initializer_range": 0.08,
        "rope_parameters": {"rope_type": "default", "rope_theta": rope_theta},
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def write_tiny_model(texts: Sequence[str], out: Path, seed: int = 0, hidden: int = 128, layers: int = LAYERS) -> int:
    """Write a randomly initialised Qwen2 and its tokenizer as a Hugging Face folder (fp32, safetensors).

    Its heads and vocabulary are divisible by two, for tensor parallelism of two.

    Args:
        texts: training texts of the tokenizer.
        out: folder to write.
        seed: seed of the weights.
        hidden: hidden size, a multiple of 8.
        layers: number of layers.

    Returns:
        The number of parameters.

    Raises:
        ValueError: `hidden` is not a multiple of 8, or `layers` is below 1.
    """
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    if hidden < 8 or hidden % 8:
        raise ValueError(f"--hidden is {hidden}; it must be a multiple of 8 (four heads of even width).")
    if layers < 1:
        raise ValueError(f"--layers is {layers}; it must be at least 1.")
    tokenizer = train_tokenizer(texts)
    config = Qwen2Config(**text_settings(tokenizer, hidden, layers), dtype="float32")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(config)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    correct_description(out)
    return model.num_parameters()
