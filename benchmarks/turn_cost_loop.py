"""The agent loop of turn_cost.py: turns and replies of fixed lengths, whatever the model says."""

from typing import Any, override
from uuid import uuid4

from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopOutput
from verl.utils.profiler import simple_timer

from verl_medu1.rollout.sampling import turn_seed, whole_turns


class FixedTurns(AgentLoopBase):
    """`episodes.max_turns` turns of `max_turn_tokens` each, between them replies of `max_observation_tokens`."""

    @override
    async def run(self, sampling_params: dict[str, Any], **row: Any) -> AgentLoopOutput:
        """Sample one response; a reply repeats the beginning of the prompt."""
        episodes = self.config.episodes
        prompt = list(await self.ct_build_initial_tokens(list(row["raw_prompt"])))
        reply = (prompt * episodes.max_observation_tokens)[: episodes.max_observation_tokens]
        place = (self.config.data.seed, int(row["global_steps"]), int(row["index"]), int(row["session_id"]))
        length = {name: episodes.max_turn_tokens for name in ("min_tokens", "max_tokens")}
        tokens: list[int] = []
        mask: list[int] = []
        log_probs: list[float] = []
        metrics: dict[str, Any] = {}
        request = uuid4().hex
        for turn in range(episodes.max_turns):
            if turn:
                tokens, mask = tokens + reply, mask + [0] * len(reply)
                log_probs += [0.0] * len(reply)
            params = sampling_params | whole_turns() | length | {"ignore_eos": True, "seed": turn_seed(*place, turn)}
            with simple_timer("generate_sequences", metrics):
                output = await self.server_manager.generate(
                    request_id=request, prompt_ids=prompt + tokens, sampling_params=params
                )
            assert len(output.token_ids) == episodes.max_turn_tokens and output.log_probs is not None
            tokens, mask = tokens + list(output.token_ids), mask + [1] * len(output.token_ids)
            log_probs += output.log_probs
        return AgentLoopOutput(
            prompt_ids=prompt,
            response_ids=tokens,
            response_mask=mask,
            response_logprobs=log_probs,
            num_turns=2 * episodes.max_turns,
            metrics=metrics,
            extra_fields=output.extra_fields | {"turn_scores": [], "tool_rewards": []},
        )
