"""Asks a judge at an OpenAI-compatible endpoint; equal cases once."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from reward_score.chat import ChatClient, Once, Usage, messages
from reward_score.judge.reply import (
    COMES_TO,
    HOLDS,
    MAX_TOKENS,
    RESPONSE_FORMAT,
    SAME,
    JudgeError,
    Opinion,
    choice_format,
    read_choice,
    read_reply,
)
from reward_score.judge.settings import JudgeSettings

# Verdicts that a process keeps.
CACHE_SIZE = 100_000
# Alternatives of each token of the reply.
TOP_LOG_PROBS = 10


class Judge:
    """Asks the endpoint about answers; asks about equal cases only once.

    Use it within a single event loop.
    """

    def __init__(self, settings: JudgeSettings) -> None:
        self.settings = settings
        self._chat = ChatClient(settings, JudgeError)
        self._opinions: Once[tuple[str, str], Opinion] = Once(CACHE_SIZE)
        self._choices: Once[str, str] = Once(CACHE_SIZE)

    @property
    def usage(self) -> Usage:
        """What it has cost so far."""
        return self._chat.usage

    def may_see(self, data_source: str) -> bool:
        """Return whether rows of a registered data source may be sent to the endpoint."""
        return self._chat.may_see(data_source)

    async def says_the_same(self, question: str, reference: str, answer: str) -> Opinion:
        """Judge whether the answer states the same as the reference.

        Raises:
            JudgeError: The endpoint gave no verdict; this is not cached, so the next equal answer asks again.
        """
        return await self._opinion(SAME, {"question": question, "reference": reference, "answer": answer})

    async def holds(self, question: str, statement: str, answer: str) -> Opinion:
        """Judge whether a statement about the answer is true.

        Raises:
            JudgeError: As above.
        """
        return await self._opinion(HOLDS, {"question": question, "statement": statement, "answer": answer})

    async def comes_to(self, options: Mapping[str, str], reasoning: str) -> str:
        """Return the letter of the option that reasoning comes to; "" if it comes to none, or to several.

        Args:
            options: Letter -> text.
            reasoning: Without the answer that was given.

        Raises:
            JudgeError: As above.
        """
        asked = messages(COMES_TO, {"options": dict(options), "reasoning": reasoning})
        more = {"response_format": choice_format(list(options))}
        read = partial(read_choice, letters=list(options))
        return await self._choices.get(asked[-1]["content"], lambda: self._chat.ask(asked, read, MAX_TOKENS, more))

    async def close(self) -> None:
        """Close the connections."""
        await self._chat.close()

    async def _opinion(self, instruction: str, data: Mapping[str, str]) -> Opinion:
        asked = messages(instruction, data)
        more: dict[str, Any] = {"response_format": RESPONSE_FORMAT}
        if self.settings.log_probs:
            more |= {"logprobs": True, "top_logprobs": TOP_LOG_PROBS}
        read = partial(read_reply, threshold=self.settings.threshold)
        case = (instruction, asked[-1]["content"])
        return await self._opinions.get(case, lambda: self._chat.ask(asked, read, MAX_TOKENS, more))
