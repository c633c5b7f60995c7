"""An agent loop of several turns: the model speaks, an environment replies, until it answers or a limit is met."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, override
from uuid import uuid4

from omegaconf import OmegaConf
from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopOutput
from verl.utils.profiler import simple_timer

from verl_medu1.rollout.environment import Session, make_environment
from verl_medu1.rollout.names import ANSWERED, EPISODE, OUT_OF_ROOM, OUT_OF_TURNS
from verl_medu1.rollout.observation import CHARACTERS_PER_TOKEN, harmless, shortened
from verl_medu1.rollout.sampling import turn_seed, whole_turns


@dataclass
class Episode:
    """A conversation as tokens: one growing sequence, of which the model wrote some spans.

    Attributes:
        ids: tokens of the prompt and of everything since.
        mask: 1 for each token since the prompt that the model wrote.
        log_probs: of the same tokens, 0 where the model did not write; empty if the engine returns none.
        spans: [start, end) of each turn of the model, in the tokens since the prompt.
        said: each turn since the prompt, in order: who, and what.
        ended: one of `ANSWERED`, `OUT_OF_TURNS`, `OUT_OF_ROOM`.
    """

    ids: list[int]
    mask: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)
    said: list[tuple[str, str]] = field(default_factory=list)
    ended: str = OUT_OF_TURNS


class EpisodeAgentLoop(AgentLoopBase):
    """Turns of a model and its environment, as one sequence of tokens; agent_loops.yaml names it.

    The environment's tokens have mask and log-prob 0. No token that the model wrote is decoded and encoded again: the
    environment reads text, and verl's token builder appends its replies to the tokens that are there.
    """

    @override
    async def run(self, sampling_params: dict[str, Any], priority: int = 0, **row: Any) -> AgentLoopOutput:
        """Hold one conversation; `row` has the row's columns, with `global_steps` and `session_id`."""
        settings = self.config.episodes
        environment = make_environment(settings.environment, OmegaConf.to_container(settings.settings, resolve=True))
        session = environment.start(row)
        messages = [dict(message) for message in row["raw_prompt"]]
        episode = Episode(await self.ct_build_initial_tokens(messages))
        metrics: dict[str, Any] = {}
        extra_fields: dict[str, Any] = {}
        place = (int(row["global_steps"]), int(row["index"]), int(row["session_id"]))
        request = f"det-{priority}" if self.rollout_config.full_determinism else uuid4().hex
        for turn in range(settings.max_turns):
            most = min(settings.max_turn_tokens, self.rollout_config.response_length - len(episode.mask))
            seed = turn_seed(self.config.data.seed, *place, turn)
            params = sampling_params | whole_turns() | {"seed": seed, "max_tokens": most}
            with simple_timer("generate_sequences", metrics):
                output = await self.server_manager.generate(
                    request_id=request, prompt_ids=episode.ids, sampling_params=params, priority=int(priority)
                )
            preempted = output.num_preempted
            metrics["num_preempted"] = -1 if preempted is None else metrics.get("num_preempted", 0) + preempted
            extra_fields |= {name: value for name, value in output.extra_fields.items() if name not in extra_fields}
            if "max_global_steps" in output.extra_fields:
                extra_fields["max_global_steps"] = output.extra_fields["max_global_steps"]
            text = await self._take_turn(episode, messages, output)
            if len(output.token_ids) >= most and output.token_ids[-1] not in self.tokenizer.all_special_ids:
                episode.ended = OUT_OF_ROOM
                break
            with simple_timer("tool_calls", metrics):
                reply = await session.step(text)
            if reply is None:
                episode.ended = ANSWERED
                break
            left = settings.max_turns - turn - 1
            if not left:
                break
            reply = self._observation(reply) + (f"\n\n{environment.last_turn}" if left == 1 else "")
            if not await self._take_reply(episode, messages, reply):
                episode.ended = OUT_OF_ROOM
                break
        return self._output(episode, session, metrics, extra_fields)

    def _observation(self, text: str) -> str:
        """Return a text of the environment as the model may read it: short enough, and without marks of its own."""
        most, encode = self.config.episodes.max_observation_tokens, self.tokenizer.encode
        clean = harmless(text[: most * CHARACTERS_PER_TOKEN], self.tokenizer.all_special_tokens)
        return shortened(clean, most, lambda part: encode(part, add_special_tokens=False), self.tokenizer.decode)

    async def _take_turn(self, episode: Episode, messages: list[dict[str, Any]], output: Any) -> str:
        """Append what the model wrote, and return its text."""
        has_log_probs = bool(output.log_probs)
        start = len(episode.mask)
        merged, episode.mask, log_probs = await self.ct_merge_assistant_token(
            episode.ids,
            output.token_ids,
            episode.mask,
            episode.log_probs if has_log_probs else None,
            assistant_logprobs=output.log_probs if has_log_probs else None,
        )
        episode.ids, episode.log_probs = merged.token_ids, log_probs or []
        episode.spans.append((start, len(episode.mask)))
        text: str = self.tokenizer.decode(output.token_ids, skip_special_tokens=True)
        messages.append({"role": "assistant", "content": text})
        episode.said.append(("assistant", text))
        return text

    async def _take_reply(self, episode: Episode, messages: list[dict[str, Any]], reply: str) -> bool:
        """Append what the environment says, and return True; False if no token would be left for the model."""
        before = list(messages)
        messages.append({"role": "user", "content": reply})
        has_log_probs = bool(episode.log_probs)
        merged, mask, log_probs = await self.ct_merge_context_msg(
            before, messages, episode.ids, episode.mask, episode.log_probs if has_log_probs else None
        )
        if len(mask) >= self.rollout_config.response_length:
            return False
        episode.ids, episode.mask, episode.log_probs = merged.token_ids, mask, log_probs or []
        episode.said.append(("user", reply))
        return True

    def _output(
        self, episode: Episode, session: Session, metrics: dict[str, Any], extra_fields: dict[str, Any]
    ) -> AgentLoopOutput:
        split = len(episode.ids) - len(episode.mask)
        found = {name: value for name, value in asdict(episode).items() if name in ("spans", "said", "ended")}
        found |= {name: getattr(session, name) for name in ("calls", "invalid", "failed")}
        found["facts"] = _plain(session.facts())
        return AgentLoopOutput(
            prompt_ids=episode.ids[:split],
            response_ids=episode.ids[split:],
            response_mask=episode.mask,
            response_logprobs=episode.log_probs or None,
            num_turns=1 + len(episode.said),
            metrics=metrics,
            # verl's own loops have the last two, too, and all rows of a batch must have the same.
            extra_fields=extra_fields | {EPISODE: found, "turn_scores": [], "tool_rewards": []},
        )


def _plain(facts: Mapping[str, Any]) -> Any:
    """Return facts as JSON has them, so that each process reads the same."""
    return json.loads(json.dumps(facts))
