"""verl's single-turn rollout with a seed per response, so that a run can be reproduced."""

from functools import partial
from typing import Any, override

from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

from verl_medu1.rollout.names import PERCEPTION_GAIN
from verl_medu1.rollout.perception import emptied, perception_gain
from verl_medu1.rollout.sampling import request_name, turn_seed, whole_turns


class SeededSingleTurnAgentLoop(SingleTurnAgentLoop):
    """One turn per question, sampled with `turn_seed`; agent_loops.yaml names it."""

    @override
    async def run(self, sampling_params: dict[str, Any], priority: int = 0, **kwargs: Any) -> AgentLoopOutput:
        """Answer one question; `kwargs` are the row's columns, with `global_steps` and `session_id`."""
        place = (int(kwargs["global_steps"]), int(kwargs["index"]), int(kwargs["session_id"]))
        seed = turn_seed(self.config.data.seed, *place)
        output = await super().run(sampling_params | whole_turns() | {"seed": seed}, priority, **kwargs)
        if self.config.scoring.perception.weight is not None:
            output.extra_fields[PERCEPTION_GAIN] = await self._perception_gain(output, int(priority))
        return output

    async def _perception_gain(self, output: AgentLoopOutput, priority: int) -> float | None:
        """Ask the policy's own server how probable it finds a response with empty pictures; None without a picture."""
        images = (output.multi_modal_data or {}).get("images")
        if not images:
            return None
        rollout = self.rollout_config
        generate = partial(
            self.server_manager.generate,
            request_id=request_name(rollout, priority),
            image_data=[emptied(image) for image in images],
            mm_processor_kwargs=output.mm_processor_kwargs,
            priority=priority,
        )
        # `checks.perception` sees to it that there are log-probs, and that they are the model's own.
        assert output.response_logprobs is not None
        # The server wants room for one more.
        most = rollout.prompt_length + rollout.response_length - 1
        return await perception_gain(generate, output.prompt_ids, output.response_ids, output.response_logprobs, most)
