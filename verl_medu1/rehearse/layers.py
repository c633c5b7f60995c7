"""Stand-ins for Transformer Engine's kernels: they keep for the backward pass what those keep, and compute nothing.

The other layers are megatron-core's own ("local") ones, in place of Transformer Engine's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

STAND_INS = {
    "linear layers, embedding": "megatron-core's own, for Transformer Engine's",
    "attention": "keeps query, key, value, output and a float32 a token and head, as flash attention; no workspace",
    "RMSNorm": "keeps its input and a float32 a token, as Transformer Engine's",
    "choice of experts": "tokens are spread evenly, and this rank receives the plan's imbalance times its share",
    "permutation of tokens": "keeps the table of rows of Transformer Engine's kernels",
    "Adam": "torch's, for Transformer Engine's fused one; the same states",
}


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        output = torch.empty_like(query, memory_format=torch.contiguous_format)
        sums = torch.empty(query.shape[:-1], dtype=torch.float32)
        ctx.save_for_backward(query, key, value, output, sums)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(torch.empty_like(tensor) for tensor in ctx.saved_tensors[:3])


class StandInAttention(torch.nn.Module):
    """Takes the place of a core attention of megatron-core, with any context parallel size.

    Passing keys and values on between context parallel ranks is not rehearsed.
    """

    def __init__(self, **_: Any) -> None:
        super().__init__()

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        """Return what attention returns: heads side by side in the last dimension."""
        return _Attention.apply(query, key, value).flatten(-2)


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(hidden, weight, torch.empty(hidden.shape[:-1], dtype=torch.float32))
        return torch.empty_like(hidden, memory_format=torch.contiguous_format)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(torch.empty_like(tensor) for tensor in ctx.saved_tensors[:2])


class StandInNorm(torch.nn.Module):
    """Takes the place of an RMSNorm."""

    def __init__(self, config: Any, hidden_size: int, eps: float = 1e-5, **_: Any) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(hidden_size, dtype=config.params_dtype))
        self.weight.sequence_parallel = config.sequence_parallel  # type: ignore[attr-defined]

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return a tensor of the same shape."""
        return _Norm.apply(hidden, self.weight)


def _norm_of_gradients(*_: Any) -> tuple[torch.Tensor, None]:
    return torch.ones(1, dtype=torch.float32), None


@contextmanager
def stand_ins() -> Iterator[None]:
    """Build and run models with the stand-ins: megatron-core names them while this is entered."""
    from megatron.core.models import backends
    from megatron.core.models.gpt import gpt_layer_specs
    from megatron.core.optimizer import clip_grads
    from megatron.core.transformer import transformer_block
    from megatron.core.transformer.moe import moe_layer, token_dispatcher

    from verl_medu1.rehearse.experts import StandInDispatcher, permute, sort_chunks, unpermute

    replaced: list[tuple[Any, str, Any]] = [
        (backends.LocalSpecProvider, "core_attention", lambda self: StandInAttention),
        (backends.LocalSpecProvider, "layer_norm", lambda self, **_: StandInNorm),
        (gpt_layer_specs, "LNImpl", StandInNorm),
        (transformer_block, "LayerNormImpl", StandInNorm),
        (moe_layer, "MoEAlltoAllTokenDispatcher", StandInDispatcher),
        (token_dispatcher, "permute", permute),
        (token_dispatcher, "unpermute", unpermute),
        (token_dispatcher, "sort_chunks_by_idxs", sort_chunks),
        # Without Transformer Engine it reads a number from each gradient.
        (clip_grads, "l2_norm_impl", _norm_of_gradients),
    ]
    before = [(place, name, getattr(place, name)) for place, name, _ in replaced]
    for place, name, value in replaced:
        setattr(place, name, value)
    try:
        yield
    finally:
        for place, name, value in before:
            setattr(place, name, value)
