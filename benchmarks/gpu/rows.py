"""Rows of random tokens for verl's engine, and how far two lists of log-probabilities are apart."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def token_rows(lengths: Sequence[int], vocabulary: int) -> "list[torch.Tensor]":
    """Random tokens, the same in each run."""
    import torch

    generator = torch.Generator().manual_seed(0)
    return [torch.randint(vocabulary, (length,), generator=generator) for length in lengths]


def batch_of(rows: "Sequence[torch.Tensor]", token_limit: int, name: str) -> Any:
    """Rows as verl's engine takes them; all tokens but the first of a row count in the loss."""
    import torch
    from tensordict import TensorDict
    from verl.utils import tensordict_utils as tu

    def nested(tensors: "Sequence[torch.Tensor]") -> "torch.Tensor":
        return torch.nested.as_nested_tensor([tensor.to(name) for tensor in tensors], layout=torch.jagged)

    batch = TensorDict(
        {
            "input_ids": nested(rows),
            "position_ids": nested([torch.arange(len(row)) for row in rows]),
            "loss_mask": nested([(torch.arange(len(row)) > 0).float() for row in rows]),
            "temperature": torch.ones(len(rows), device=name),
        },
        batch_size=[len(rows)],
    )
    tu.assign_non_tensor(
        batch,
        use_dynamic_bsz=True,
        max_token_len_per_gpu=token_limit,
        global_batch_size=len(rows),
        calculate_entropy=False,
    )
    return batch


def distance(ours: "Sequence[torch.Tensor]", theirs: "Sequence[torch.Tensor]") -> tuple[float, float]:
    """Mean and largest absolute difference of the log-probabilities of all tokens.

    Example:
        >>> import torch
        >>> distance([torch.tensor([-1.0, -2.0])], [torch.tensor([-1.5, -2.0])])
        (0.25, 0.5)
    """
    import torch

    difference = (torch.cat(list(ours)) - torch.cat(list(theirs))).abs()
    return difference.mean().item(), difference.max().item()
