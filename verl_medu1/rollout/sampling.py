"""How one turn of a model is sampled: with a seed of its own, and returned as tokens."""

import functools
from typing import Any
from uuid import uuid4

import numpy as np


def turn_seed(seed: int, step: int, question: int, answer: int, turn: int = 0) -> int:
    """Return the sampling seed of one turn, independent of what else is generated with it and in which order.

    Args:
        seed: `data.seed` of the run.
        step: global step of the trainer.
        question: index of the question in its file.
        answer: position of the response in its group.
        turn: number of the model's turn within the response.

    Returns:
        An integer in [0, 2**31).

    Example:
        >>> turn_seed(1, 0, 7, 0) == turn_seed(1, 0, 7, 0), turn_seed(1, 0, 7, 0) == turn_seed(1, 0, 7, 0, 1)
        (True, False)
    """
    place = [seed, step, question, answer, *([turn] if turn else [])]
    return int(np.random.SeedSequence(place).generate_state(1)[0]) >> 1


def request_name(rollout: Any, priority: int) -> str:
    """Return the name of a request to verl's server: by its priority in a fully deterministic rollout, else a new one.

    Args:
        rollout: verl's configuration of the rollout.
        priority: of the request.
    """
    return f"det-{priority}" if rollout.full_determinism else uuid4().hex


@functools.cache
def whole_turns() -> dict[str, Any]:
    """Make vLLM return each turn once, as tokens: verl reads nothing else, and an output per token costs time."""
    from vllm.sampling_params import RequestOutputKind

    return {"output_kind": RequestOutputKind.FINAL_ONLY, "detokenize": False}
