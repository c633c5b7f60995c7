"""Rewards and advantages of a batch, read from verl's queue, changed, and put back."""

from collections.abc import Callable, Sequence

import torch
import transfer_queue as tq
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.workers.utils.padding import response_to_nested

# Takes (B, T) advantages, which it may change, and (B, T) response mask, padded, and returns (B, T) advantages.
Change = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def change_advantages(batch: KVBatchMeta, changes: Sequence[Change]) -> KVBatchMeta:
    """Replace the advantages of a batch.

    Args:
        batch: After verl has computed its advantages.
        changes: One after the other; the queue takes longer than they do, and is asked once for all.
    """
    fields = ["response_mask", "advantages"]
    data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=fields)
    nested_mask = data["response_mask"]
    padded = data.to_padded_tensor()
    advantages = padded["advantages"]
    for change in changes:
        advantages = change(advantages, padded["response_mask"])
    content = TensorDict({"advantages": response_to_nested(advantages, nested_mask)}, batch_size=len(batch))
    return tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=content)


def add_to_rewards(batch: KVBatchMeta, terms: torch.Tensor) -> KVBatchMeta:
    """Add a term to the reward of each response of a batch, which is on its last token.

    Args:
        batch: Scored, before its advantages are computed.
        terms: (B,).
    """
    data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["rm_scores"])
    shaped = [row.clone() for row in data["rm_scores"].unbind()]
    for row, term in zip(shaped, terms.unbind(), strict=True):
        row[-1] += term
    rewards = torch.nested.as_nested_tensor(shaped, layout=torch.jagged)
    fields = TensorDict({"rm_scores": rewards}, batch_size=len(batch))
    return tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=fields)
