"""The agent loop of several turns: samples them with verl's server, each with a seed of its own."""

from functools import partial
from typing import Any, override

from omegaconf import OmegaConf
from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopOutput
from verl.utils.profiler import simple_timer

from reward_score.evidence import ANSWER_GAIN
from verl_medu1.environments.environment import make_environment
from verl_medu1.rollout.answer_gain import answer_gain
from verl_medu1.rollout.episode import Episode, Limits
from verl_medu1.rollout.names import EPISODE
from verl_medu1.rollout.sampling import request_name, turn_seed, whole_turns


class EpisodeAgentLoop(AgentLoopBase):
    """Turns of a model and its environment, as one sequence of tokens; agent_loops.yaml names it."""

    @override
    async def run(self, sampling_params: dict[str, Any], **row: Any) -> AgentLoopOutput:
        """Hold one conversation; `row` has the row's columns, with `global_steps` and `session_id`."""
        priority = int(row.get("priority", 0))
        episodes, rollout = self.config.episodes, self.rollout_config
        settings: Any = OmegaConf.to_container(episodes.settings, resolve=True)
        environment = make_environment(episodes.environment, settings)
        messages = list(row["raw_prompt"])
        prompt = await self.ct_build_initial_tokens(messages)
        limits = Limits.read(episodes, rollout.response_length, environment.last_turn)
        session = environment.start(row)
        episode = Episode(self.continuous_token_builder, self.tokenizer, messages, prompt, session, limits)
        place = (self.config.data.seed, int(row["global_steps"]), int(row["index"]), int(row["session_id"]))
        request = request_name(rollout, priority)
        metrics: dict[str, Any] = {}
        extra_fields: dict[str, Any] = {}
        goes_on = True
        while goes_on:
            seed = turn_seed(*place, len(episode.spans))
            params = sampling_params | whole_turns() | {"seed": seed, "max_tokens": episode.room}
            with simple_timer("generate_sequences", metrics):
                output = await self.server_manager.generate(
                    request_id=request, prompt_ids=episode.ids, sampling_params=params, priority=priority
                )
            preempted = output.num_preempted
            metrics["num_preempted"] = -1 if preempted is None else metrics.get("num_preempted", 0) + preempted
            # Those of the first turn, but the weights' version of the last.
            extra_fields = output.extra_fields | extra_fields
            if "max_global_steps" in output.extra_fields:
                extra_fields["max_global_steps"] = output.extra_fields["max_global_steps"]
            with simple_timer("tool_calls", metrics):
                goes_on = await episode.proceed(output.token_ids, output.log_probs)
        record = episode.record()
        if episodes.answer_gain:
            generate = partial(self.server_manager.generate, request_id=request, priority=priority)
            answer, most = str(row["reward_model"]["ground_truth"]), rollout.prompt_length + rollout.response_length - 1
            read = (messages, episode.known, answer, most, self.tokenizer)
            with simple_timer("tool_calls", metrics):
                gain = await answer_gain(generate, self.ct_build_initial_tokens, *read)
            record["facts"][ANSWER_GAIN] = gain
        split = len(episode.ids) - len(episode.mask)
        return AgentLoopOutput(
            prompt_ids=episode.ids[:split],
            response_ids=episode.ids[split:],
            response_mask=episode.mask,
            response_logprobs=episode.log_probs or None,
            num_turns=1 + len(episode.said),
            metrics=metrics,
            # verl's own loops have the last two, too, and all rows of a batch must have the same.
            extra_fields=extra_fields | {EPISODE: record, "turn_scores": [], "tool_rewards": []},
        )
