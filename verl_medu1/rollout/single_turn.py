"""verl's single-turn rollout with a seed per response, so that a run can be reproduced."""

from typing import Any, override

from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

from verl_medu1.rollout.sampling import turn_seed, whole_turns


class SeededSingleTurnAgentLoop(SingleTurnAgentLoop):
    """One turn per question, sampled with `turn_seed`; agent_loops.yaml names it."""

    @override
    async def run(self, sampling_params: dict[str, Any], priority: int = 0, **kwargs: Any) -> AgentLoopOutput:
        """Answer one question; `kwargs` are the row's columns, with `global_steps` and `session_id`."""
        place = (int(kwargs["global_steps"]), int(kwargs["index"]), int(kwargs["session_id"]))
        seed = turn_seed(self.config.data.seed, *place)
        return await super().run(sampling_params | whole_turns() | {"seed": seed}, priority, **kwargs)
