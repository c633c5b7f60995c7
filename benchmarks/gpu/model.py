"""A model with random weights of a known model's dimensions, fewer layers, and a tokenizer of our own: no download."""

from collections.abc import Sequence
from pathlib import Path

from verl_medu1.data.tiny_model import train_tokenizer
from verl_medu1.plan.architecture import Architecture


def write_random_model(model: Architecture, texts: Sequence[str], out: Path, dtype: str) -> int:
    """Write a model as a Hugging Face folder.

    The tokenizer has fewer tokens than the embedding has rows, as many published models have.

    Args:
        model: dimensions.
        texts: what the tokenizer is trained on.
        out: folder to write.
        dtype: of the weights in the files, such as "bfloat16".

    Returns:
        The number of parameters.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = train_tokenizer(texts)
    config = AutoConfig.for_model(
        model.model_type,
        hidden_size=model.hidden,
        num_hidden_layers=model.layers,
        num_attention_heads=model.heads,
        num_key_value_heads=model.groups,
        head_dim=model.head_dim,
        intermediate_size=model.ffn,
        vocab_size=model.vocabulary,
        max_position_embeddings=model.positions,
        tie_word_embeddings=model.tied,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype=dtype,
    )
    torch.manual_seed(0)
    made = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    made.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return made.num_parameters()
