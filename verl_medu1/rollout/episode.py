"""An episode: the model speaks, an environment replies, until the model answers or a limit is met; as tokens.

Whoever samples the turns drives it: the agent loop in training (several_turns.py), `medu1 eval` (evaluate/episodes.py).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from verl_medu1.environments.environment import Session
from verl_medu1.rollout.names import ANSWERED, OUT_OF_ROOM, OUT_OF_TURNS
from verl_medu1.rollout.observation import CHARACTERS_PER_TOKEN, harmless, shortened


@dataclass(frozen=True)
class Limits:
    """How long an episode may be.

    Attributes:
        turns: of the model.
        turn_tokens: of one turn.
        observation_tokens: of one reply of the environment; the rest is cut off.
        all_tokens: of all turns and replies, with the chat template's own.
        last_turn: what the model is told before its last turn.
    """

    turns: int
    turn_tokens: int
    observation_tokens: int
    all_tokens: int
    last_turn: str

    @classmethod
    def read(cls, episodes: Mapping[str, Any], all_tokens: int, last_turn: str) -> Self:
        """Read the limits from `episodes` of a configuration."""
        turns, turn_tokens = episodes["max_turns"], episodes["max_turn_tokens"]
        return cls(turns, turn_tokens, episodes["max_observation_tokens"], all_tokens, last_turn)


class Episode:
    """One growing sequence of tokens, of which the model wrote some spans.

    The environment's tokens have mask and log-prob 0. No token of the model is decoded and encoded again: the
    environment reads text, and verl's token builder appends its replies to the tokens that are there.

    Args:
        builder: verl's ContinuousTokenBuilder of the model.
        tokenizer: of the model.
        messages: the prompt.
        prompt: its tokens.
        session: the environment's side.
        limits: of length.

    Attributes:
        ids: tokens of the prompt and of everything since.
        mask: 1 for each token since the prompt that the model wrote.
        log_probs: of the same tokens, 0 where the model did not write; empty if none are given.
        spans: [start, end) of each turn of the model, in the tokens since the prompt.
        said: each turn since the prompt, in order: who ("assistant" or "user"), and what.
        known: what calls that did not fail have told (`Session.told`), each once: no hints, and nothing about turns.
        ended: one of the ends in `names`.
    """

    def __init__(
        self,
        builder: Any,
        tokenizer: Any,
        messages: Sequence[Mapping[str, Any]],
        prompt: Sequence[int],
        session: Session,
        limits: Limits,
    ) -> None:
        self._builder, self._tokenizer, self._session, self._limits = builder, tokenizer, session, limits
        self._messages = [dict(message) for message in messages]
        self.ids = list(prompt)
        self.mask: list[int] = []
        self.log_probs: list[float] = []
        self.spans: list[tuple[int, int]] = []
        self.said: list[tuple[str, str]] = []
        self.known: list[str] = []
        self.ended = OUT_OF_TURNS

    @property
    def room(self) -> int:
        """The most tokens that the next turn may have."""
        return min(self._limits.turn_tokens, self._limits.all_tokens - len(self.mask))

    async def proceed(self, tokens: Sequence[int], log_probs: Sequence[float] | None = None) -> bool:
        """Take the tokens of a turn, hear the environment, and return whether another turn follows.

        Args:
            tokens: what the model wrote, at most `room` of them, with the end of its turn.
            log_probs: of each of them.
        """
        goes_on = await self._proceed(tokens, log_probs)
        if not goes_on:
            await self._session.finish()
        return goes_on

    async def _proceed(self, tokens: Sequence[int], log_probs: Sequence[float] | None) -> bool:
        is_cut = len(tokens) >= self.room and tokens[-1] not in self._tokenizer.all_special_ids
        text = self._take_turn(tokens, log_probs)
        if is_cut:
            self.ended = OUT_OF_ROOM
            return False
        answered = self._session.calls - self._session.failed
        reply = await self._session.step(text)
        if reply is None:
            self.ended = ANSWERED
            return False
        left = self._limits.turns - len(self.spans)
        if not left:
            return False
        readable = self._readable(reply)
        if self._take_reply(readable + (f"\n\n{self._limits.last_turn}" if left == 1 else "")):
            told = (
                self._readable(self._session.told(reply))
                if self._session.calls - self._session.failed > answered
                else ""
            )
            if told and told not in self.known:
                self.known.append(told)
            return True
        self.ended = OUT_OF_ROOM
        return False

    def record(self) -> dict[str, Any]:
        """Return what happened, in JSON's types: what `names.EPISODE` has of a response."""
        session = self._session
        found = {"spans": self.spans, "said": self.said, "ended": self.ended, "facts": session.facts()}
        found |= {"calls": session.calls, "invalid": session.invalid, "failed": session.failed}
        plain: dict[str, Any] = json.loads(json.dumps(found))
        return plain

    def _readable(self, reply: str) -> str:
        """Return what the environment says as the model may read it: short enough, and without marks of its own."""
        most, encode = self._limits.observation_tokens, self._tokenizer.encode
        clean = harmless(reply[: most * CHARACTERS_PER_TOKEN], self._tokenizer.all_special_tokens)
        return shortened(clean, most, lambda text: encode(text, add_special_tokens=False), self._tokenizer.decode)

    def _take_turn(self, tokens: Sequence[int], log_probs: Sequence[float] | None) -> str:
        start = len(self.mask)
        self._merge(self._builder.merge_assistant_tokens(self.ids, list(tokens)), log_probs)
        self.spans.append((start, len(self.mask)))
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True)
        self._messages.append({"role": "assistant", "content": text})
        self.said.append(("assistant", text))
        return text

    def _take_reply(self, reply: str) -> bool:
        """Append what the environment says, and return True; False if no token would be left for the model."""
        after = [*self._messages, {"role": "user", "content": reply}]
        merged = self._builder.merge_context_tokens(self._messages, after, self.ids)
        if len(self.mask) + len(merged.token_ids) - len(self.ids) >= self._limits.all_tokens:
            return False
        self._merge(merged, None)
        # Some chat templates have another end of a turn than the model writes.
        start, end = self.spans[-1]
        self.spans[-1] = (start, end - merged.removed_prefix_token_count)
        self._messages = after
        self.said.append(("user", reply))
        return True

    def _merge(self, merged: Any, log_probs: Sequence[float] | None) -> None:
        """Take over tokens that verl's builder has appended, with their masks and log-probs."""
        has_log_probs = bool(self.log_probs or log_probs)
        self.mask, aligned = self._builder.align_response_metadata(
            merged,
            self.mask,
            self.log_probs if has_log_probs else None,
            assistant_logprobs=list(log_probs) if log_probs else None,
        )
        self.ids, self.log_probs = merged.token_ids, aligned or []
