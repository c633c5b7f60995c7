"""Stand-ins for what a layer with experts decides by the values of tensors: which token goes to which expert.

Tokens are spread evenly over the experts. With expert parallelism this rank receives the planner's imbalance
(`expert_imbalance` in plan/assumptions.yaml) times as many as it sends. The router, the all-to-all of the dispatcher
and the experts' matrices are megatron-core's own.
"""

from typing import Any

import torch
from megatron.core.transformer.moe.token_dispatcher import MoEAlltoAllTokenDispatcher

from verl_medu1.plan.assumptions import assumptions


def spread(copies: int, places: int) -> list[int]:
    """Share out copies of tokens over places, as evenly as whole numbers allow.

    Example:
        >>> spread(10, 4)
        [3, 3, 2, 2]
    """
    each, rest = divmod(copies, places)
    return [each + (place < rest) for place in range(places)]


class StandInDispatcher(MoEAlltoAllTokenDispatcher):
    """megatron-core's all-to-all dispatcher, told how many tokens go where."""

    def preprocess(self, routing_map: torch.Tensor) -> torch.Tensor:
        """Return how many copies of tokens each expert of this rank computes; args as the base's."""
        self.num_out_tokens = sent = routing_map.size(0) * self.config.moe_router_topk
        received = sent
        if self.ep_size > 1:
            received = round(sent * assumptions().expert_imbalance)
            self.input_splits = torch.tensor(spread(sent, self.ep_size))
            self.output_splits = torch.tensor(spread(received, self.ep_size))
        if self.tp_size > 1:
            self.output_splits_tp = torch.tensor([received] * self.tp_size)
        self._maybe_update_cuda_sync_point("before_ep_alltoall")
        # Only Transformer Engine's kernel reads it, for which `sort_chunks` stands in.
        self.num_global_tokens_per_local_expert = torch.zeros(1, self.num_local_experts, dtype=torch.long)
        return torch.tensor(spread(received * self.tp_size, self.num_local_experts))


class _Permuted(torch.autograd.Function):
    """Rows in another order or number; keeps a table of rows, as Transformer Engine's kernels, and no values."""

    @staticmethod
    def forward(ctx: Any, tokens: torch.Tensor, rows: int, table: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(table)
        ctx.rows = tokens.shape[0]
        return tokens.new_empty((rows, *tokens.shape[1:]))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = gradients
        return gradient.new_empty((ctx.rows, *gradient.shape[1:])), None, None


class _Chosen(torch.autograd.Function):
    """The weights of the chosen experts, out of those of all."""

    @staticmethod
    def forward(ctx: Any, probs: torch.Tensor, rows: int) -> torch.Tensor:
        ctx.shape = probs.shape
        return probs.new_empty(rows)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return gradients[0].new_empty(ctx.shape), None


def permute(tokens: torch.Tensor, routing_map: torch.Tensor, probs: torch.Tensor, num_out_tokens: int, **_: Any) -> Any:
    """Take the place of Transformer Engine's moe_permute_with_probs: copies of tokens, in the order of experts."""
    count, experts = routing_map.shape
    table = torch.empty(count, 2 * experts + 1, dtype=torch.int32)  # its row_id_map
    permuted = _Permuted.apply(tokens, num_out_tokens, table)
    return permuted, _Chosen.apply(probs, num_out_tokens), table, None, None


def unpermute(permuted_tokens: torch.Tensor, sorted_indices: torch.Tensor, restore_shape: Any, **_: Any) -> Any:
    """Take the place of Transformer Engine's moe_unpermute: the sum of a token's copies."""
    return _Permuted.apply(permuted_tokens, restore_shape[0], sorted_indices)


def sort_chunks(input: torch.Tensor, *_: Any, probs: torch.Tensor | None = None, **__: Any) -> Any:
    """Take the place of Transformer Engine's moe_sort_chunks_by_index: received copies, in the order of experts."""
    rows = input.shape[0]
    table = torch.empty(rows, dtype=torch.int32)
    return _Permuted.apply(input, rows, table), None if probs is None else _Permuted.apply(probs, rows, table)
