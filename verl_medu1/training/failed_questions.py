"""A question that could not be answered ends the run, rather than being left out of its batch or replaced silently."""

from typing import Any


def no_answers(step: int, number: int) -> RuntimeError:
    """Return the error that ends a run when some of its questions could not be answered."""
    return RuntimeError(
        f"step {step} is not trained on: {number} of its questions have no answers; "
        "the log above says why, at 'Error in _run_prompt'"
    )


def end_on_failed_questions(buffer: Any) -> None:
    """Make a replay buffer end the run rather than replace failed questions, unless replacing is configured.

    verl's asynchronous buffer replaces them before it returns, and loops forever if all questions fail
    (trainer/ppo/v1/replay_buffer.py, wait_for_sampleable).
    """
    evict = buffer._evict_terminal_groups

    def evict_or_end(global_steps: int, partition_id: str, eviction_reasons: tuple[Any, ...]) -> Any:
        if (failed := eviction_reasons[2]) and not buffer.sync_refill_failed_groups:
            raise no_answers(global_steps, len(failed))
        return evict(global_steps, partition_id, eviction_reasons)

    buffer._evict_terminal_groups = evict_or_end
