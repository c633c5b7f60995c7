"""verl's single-turn rollout with a seed per response, so that a run can be reproduced."""

import functools
from typing import Any, override

import numpy as np
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop


def answer_seed(seed: int, step: int, question: int, answer: int) -> int:
    """Return the sampling seed of one response, independent of what else is generated with it and in which order.

    Args:
        seed: `data.seed` of the run.
        step: global step of the trainer.
        question: index of the question in its file.
        answer: position of the response in its group.

    Returns:
        An integer in [0, 2**31).

    Example:
        >>> answer_seed(1, 0, 7, 0) == answer_seed(1, 0, 7, 0), answer_seed(1, 0, 7, 0) == answer_seed(1, 0, 7, 1)
        (True, False)
    """
    return int(np.random.SeedSequence([seed, step, question, answer]).generate_state(1)[0]) >> 1


@functools.cache
def _whole_answers() -> dict[str, Any]:
    """Make vLLM return each response once, as tokens: verl reads nothing else, and an output per token costs time."""
    from vllm.sampling_params import RequestOutputKind

    return {"output_kind": RequestOutputKind.FINAL_ONLY, "detokenize": False}


class SeededSingleTurnAgentLoop(SingleTurnAgentLoop):
    """One turn per question, sampled with `answer_seed`; agent_loops.yaml names it."""

    @override
    async def run(self, sampling_params: dict[str, Any], priority: int = 0, **kwargs: Any) -> AgentLoopOutput:
        """Answer one question; `kwargs` are the row's columns, with `global_steps` and `session_id`."""
        place = (int(kwargs["global_steps"]), int(kwargs["index"]), int(kwargs["session_id"]))
        seed = answer_seed(self.config.data.seed, *place)
        return await super().run(sampling_params | _whole_answers() | {"seed": seed}, priority, **kwargs)
