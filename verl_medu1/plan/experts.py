"""Dimensions of layers with experts, from config.json."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Experts:
    """Dimensions of a model's experts, in the terms of Qwen3-MoE's config.json.

    Attributes:
        count: experts of a layer.
        active: experts that a token passes through.
        ffn: width of an expert's SwiGLU layer.
        layers: layers that have experts; the others have one SwiGLU layer for all tokens.
        normalised: whether the weights of a token's experts add up to 1.
    """

    count: int
    active: int
    ffn: int
    layers: int
    normalised: bool


def sparse_layers(layers: int, step: int, dense: tuple[int, ...]) -> int:
    """Return how many layers have experts.

    Every `step`-th layer, counted from 1, unless its number, counted from 0, is listed as dense
    (transformers/models/qwen3_moe/modeling_qwen3_moe.py, Qwen3MoeDecoderLayer).

    Example:
        >>> sparse_layers(48, 1, ()), sparse_layers(6, 2, (1,))
        (48, 2)
    """
    return sum((layer + 1) % step == 0 and layer not in dense for layer in range(layers))


def experts_of(
    text: Mapping[str, Any], layers: int, size: Callable[[str], int], wrong: Callable[[str, str], ValueError]
) -> Experts:
    """Read the experts from a config.json of Qwen3-MoE; keys that it lacks have transformers' defaults.

    Args:
        text: the config.json.
        layers: of the model.
        size: reads a key as a size, or raises.
        wrong: makes the error for a key and what it must be.
    """
    # Its name in files that transformers 5 writes.
    count = size("num_experts" if "num_experts" in text else "num_local_experts")
    active = size("num_experts_per_tok")
    if active > count:
        raise wrong("num_experts_per_tok", f"at most the number of experts, which is {count}")
    step = 1 if text.get("decoder_sparse_step") is None else size("decoder_sparse_step")
    dense = text.get("mlp_only_layers") or []
    if not isinstance(dense, list) or not all(isinstance(layer, int) for layer in dense):
        raise wrong("mlp_only_layers", "a list of numbers of layers")
    normalised = text.get("norm_topk_prob", False)
    if not isinstance(normalised, bool):
        raise wrong("norm_topk_prob", "true or false")
    return Experts(count, active, size("moe_intermediate_size"), sparse_layers(layers, step, tuple(dense)), normalised)
