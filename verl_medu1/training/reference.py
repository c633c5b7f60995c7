"""How surprising answers are to the reference model: a cost that the trainer computes itself."""

from collections.abc import Iterable

import torch
import transfer_queue as tq
from transfer_queue import KVBatchMeta


def surprisals(log_probs: Iterable[torch.Tensor], masks: Iterable[torch.Tensor]) -> list[float | None]:
    """Return -mean(log p_ref) of each answer, in nats per token.

    Only the answer's own tokens count: no padding, and no text that an environment has put in between.

    Args:
        log_probs: (T,) of each answer, of its tokens under the reference model.
        masks: (T,) of each answer, 1 on its own tokens.

    Returns:
        One number for each answer; None for one without a token of its own.

    Example:
        >>> surprisals([torch.tensor([-1.0, -9.0, -3.0])], [torch.tensor([1, 0, 1])])
        [2.0]
    """
    found: list[float | None] = []
    for values, mask in zip(log_probs, masks, strict=True):
        own = values[mask.bool()]
        found.append(-float(own.double().mean()) if len(own) else None)
    return found


def fetch_surprisals(batch: KVBatchMeta) -> list[float | None]:
    """Return the `surprisals` of a batch, of which verl has computed the log-probs under the reference model."""
    data = tq.kv_batch_get(
        keys=batch.keys, partition_id=batch.partition_id, select_fields=["ref_log_prob", "response_mask"]
    )
    return surprisals(data["ref_log_prob"].unbind(), data["response_mask"].unbind())
