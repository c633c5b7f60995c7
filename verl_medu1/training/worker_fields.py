"""What of a batch the actor's workers fetch from verl's queue: tensors, and no texts that only the driver reads."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from transfer_queue import KVBatchMeta

# Columns of the data and what the agent loop says of a response. A worker would fetch them for each update, and take
# them apart for each micro-batch.
OF_THE_DRIVER = frozenset(
    (
        "ability",
        "agent_name",
        "data_source",
        "extra_fields",
        "extra_info",
        "interaction_kwargs",
        "metrics",
        "prompt",
        "raw_prompt",
        "reward_model",
        "tools_kwargs",
        "uid",
    )
)


def worker_fields(fields: Sequence[str] | None) -> list[str] | None:
    """Return the fields that workers fetch; None, for all, if it is not known which there are.

    Example:
        >>> worker_fields(["input_ids", "raw_prompt", "advantages"]), worker_fields(None)
        (['input_ids', 'advantages'], None)
    """
    return None if fields is None else [name for name in fields if name not in OF_THE_DRIVER]


@contextmanager
def tensors_alone(batch: KVBatchMeta) -> Iterator[None]:
    """Let a batch name only what workers fetch, for as long as they are asked."""
    fields = batch.fields
    batch.fields = worker_fields(fields)
    try:
        yield
    finally:
        batch.fields = fields
