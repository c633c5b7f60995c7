"""Layers that megatron-core's local spec lacks: attention over packed sequences, RMSNorm with sequence parallelism.

And the sizes of experts' batches, as torch's all-to-all takes them.
"""

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from megatron.core.transformer.dot_product_attention import DotProductAttention


def _causal(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float | None) -> torch.Tensor:
    """Compute causal attention of [sequence, batch, heads, dim] tensors; return [sequence, batch, heads * dim]."""
    query, key, value = (tensor.permute(1, 2, 0, 3) for tensor in (query, key, value))
    output = F.scaled_dot_product_attention(
        query, key, value, is_causal=True, scale=scale, enable_gqa=query.size(1) != key.size(1)
    )
    return output.permute(2, 0, 1, 3).flatten(2)


class PackedCausalAttention(DotProductAttention):
    """Causal attention over the packed ("thd") batches of verl's engine, one sequence at a time.

    Works around megatron/core/transformer/dot_product_attention.py, DotProductAttention.forward, which asserts that
    there are no packed sequences: they need Transformer Engine.
    """

    def forward(  # type: ignore[override]
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        attn_mask_type: Any = None,
        attention_bias: torch.Tensor | None = None,
        packed_seq_params: Any = None,
    ) -> torch.Tensor:
        if packed_seq_params is None:  # padding is on the right, where a causal mask already hides it
            return _causal(query, key, value, self.softmax_scale)
        bounds = packed_seq_params.cu_seqlens_q.tolist()
        outputs = [
            _causal(
                query[start:end].unsqueeze(1),
                key[start:end].unsqueeze(1),
                value[start:end].unsqueeze(1),
                self.softmax_scale,
            ).squeeze(1)
            for start, end in pairwise(bounds)
            if end > start
        ]
        return torch.cat(outputs)


class SequenceParallelRMSNorm(torch.nn.RMSNorm):
    """RMSNorm whose weight gradient is summed over the tensor-parallel group.

    Works around megatron/core/transformer/torch_norm.py, WrappedTorchNorm.__new__, which refuses sequence parallelism.
    All that is needed is the flag on the weight, which finalize_model_grads reads.
    """

    def __init__(self, config: Any, hidden_size: int, eps: float = 1e-5, **_: Any) -> None:
        super().__init__(hidden_size, eps=eps, dtype=config.params_dtype)
        self.weight.sequence_parallel = config.sequence_parallel  # type: ignore[attr-defined]


def _counts_as_numpy(tensor: Any, as_numpy: bool = False, record_stream: bool = False) -> Any:
    """Return counts of tokens as an array where one is asked for.

    Works around megatron/core/transformer/moe/moe_utils.py, maybe_move_tensor_to_cpu, which leaves a tensor that is on
    the CPU already a tensor; torch's all-to-all takes no tensor as sizes.
    """
    return tensor.numpy() if as_numpy and torch.is_tensor(tensor) else tensor


def install() -> None:
    """Put both layers into the local spec, and let tokens travel to experts."""
    from megatron.core.models import backends
    from megatron.core.models.gpt import gpt_layer_specs
    from megatron.core.transformer import transformer_block
    from megatron.core.transformer.moe import token_dispatcher

    backends.LocalSpecProvider.core_attention = lambda self: PackedCausalAttention
    backends.LocalSpecProvider.layer_norm = lambda self, **_: SequenceParallelRMSNorm
    gpt_layer_specs.LNImpl = SequenceParallelRMSNorm
    transformer_block.LayerNormImpl = SequenceParallelRMSNorm  # the final norm of the transformer block
    token_dispatcher.maybe_move_tensor_to_cpu = _counts_as_numpy
