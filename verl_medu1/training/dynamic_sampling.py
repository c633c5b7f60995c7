"""Dynamic sampling in rounds: no question is asked or chosen by the time at which another's answers arrive."""

import time
from collections.abc import Collection, Mapping
from typing import Any

from verl_medu1.training.batch_order import Asked


def ask_in_rounds(buffer: Any, asked: Asked) -> None:
    """Make verl's synchronous replay buffer judge the questions of a step together, and take them as they were asked.

    verl asks for replacements while other answers are awaited, and then trains on any of the questions that are left
    (trainer/ppo/v1/replay_buffer.py, ReplayBuffer.sample). The number of questions asked in a step, and so the first
    one of the next step, depends on the time that answers take, and a resumed run goes on with others than a run that
    was never interrupted. Here a round is over when all its questions are answered; the number of replacements is
    verl's: two for each question without a difference, at most
    `data.train_batch_size * algorithm.filter_groups.max_inflight_gen_batches` at once.

    Args:
        buffer: verl's `ReplayBuffer` with a metric to filter by.
        asked: the questions, in the order in which they were asked.
    """
    sync, select = buffer._sync_metadata_from_transfer_queue, buffer._select_prompt_uids

    def sync_when_answered() -> None:
        """See nothing of a round until all its questions are answered: verl decides after each look."""
        last_log = time.time()
        sync()
        while buffer.pending_keys["train"] or buffer.running_keys["train"]:
            last_log = buffer._wait_for_next_poll("train", last_log)
            sync()

    def select_in_order(partition_id: str, keys: Collection[str], batch_size: int) -> Any:
        # verl sorts by the step, which is the same for all, and sorting keeps the order of equals.
        return select(partition_id, sorted(keys, key=asked.place), batch_size)

    buffer._sync_metadata_from_transfer_queue = sync_when_answered
    buffer._select_prompt_uids = select_in_order


def forget_replaced(buffer: Any, asked: Asked) -> None:
    """Make `asked` forget the questions that a replay buffer of verl throws away, on which no update waits."""
    clear = buffer._clear_groups

    def clear_and_forget(partition_id: str, uids: set[str]) -> None:
        clear(partition_id, uids)
        asked.forget(uids)

    buffer._clear_groups = clear_and_forget


def cost_metrics(asked: Mapping[str, int], trained: Mapping[str, int]) -> dict[str, float]:
    """Compute what dynamic sampling cost in a step, and what it did to the shares of the data sources.

    Args:
        asked: data source -> questions asked in the step.
        trained: data source -> questions in the trained batch, at least one in all.

    Returns:
        `filter_groups/asked_per_trained`, and `filter_groups/<data_source>/asked_share` and `/trained_share`.

    Example:
        >>> cost_metrics({"MedQA": 3, "MedIQ": 1}, {"MedQA": 2})["filter_groups/asked_per_trained"]
        2.0
    """
    numbers = {"asked": sum(asked.values()), "trained": sum(trained.values())}
    metrics = {"filter_groups/asked_per_trained": numbers["asked"] / numbers["trained"]}
    for what, counts in (("asked", asked), ("trained", trained)):
        for source in sorted({*asked, *trained}):
            metrics[f"filter_groups/{source}/{what}_share"] = counts.get(source, 0) / max(numbers[what], 1)
    return metrics
