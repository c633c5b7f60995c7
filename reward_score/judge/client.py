"""Asks a judge at an OpenAI-compatible endpoint: bounded, paced, cached."""

import asyncio
import os
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reward_score.judge.reply import (
    HOLDS,
    MAX_TOKENS,
    RESPONSE_FORMAT,
    SAME,
    JudgeError,
    Opinion,
    TokenCounts,
    messages,
    read_completion,
    read_reply,
)
from reward_score.judge.settings import JudgeSettings
from reward_score.loopback import client_options, is_loopback
from reward_score.registry import credentialed_sources

# Verdicts that a process keeps.
CACHE_SIZE = 100_000
# Alternatives of each token of the reply.
TOP_LOG_PROBS = 10


@dataclass
class Usage:
    """What a judge has cost so far, in this process.

    Attributes:
        questions: Questions that were asked; an equal one is asked once.
        requests: HTTP requests, with repeated ones.
        prompt_tokens: As the server counts them; 0 if it doesn't.
        completion_tokens: As the server counts them; 0 if it doesn't.
        failures: Questions without a verdict, by `JudgeError.kind`.
    """

    questions: int = 0
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    failures: Counter[str] = field(default_factory=Counter)


class Judge:
    """Asks the endpoint about answers; asks about equal cases only once.

    Use it within a single event loop. Needs the package `openai` (`pip install verl-medu1[judge]`), which repeats a
    failed request and waits as long as a server's Retry-After says.
    """

    def __init__(self, settings: JudgeSettings) -> None:
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        self.settings = settings
        self.usage = Usage()
        self._client = AsyncOpenAI(
            base_url=settings.base_url,
            # The client requires a key; a server that needs none ignores it.
            api_key=os.environ[settings.api_key_env] if settings.api_key_env else "none",
            timeout=settings.timeout_s,
            max_retries=settings.retries,
            http_client=DefaultAsyncHttpxClient(
                event_hooks={"request": [self._count]}, **client_options(settings.base_url)
            ),
        )
        self._places = asyncio.Semaphore(settings.concurrency)
        self._next_start = 0.0
        # Tasks rather than results: the eight responses of a group ask at the same time.
        self._opinions: OrderedDict[tuple[str, str], asyncio.Task[Opinion]] = OrderedDict()

    def may_see(self, data_source: str) -> bool:
        """Return whether rows of a registered data source may be sent to the endpoint."""
        return is_loopback(self.settings.base_url) or not credentialed_sources([data_source])

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

    async def _opinion(self, instruction: str, data: Mapping[str, str]) -> Opinion:
        asked = messages(instruction, data)
        case = (instruction, asked[-1]["content"])
        if case not in self._opinions:
            self._opinions[case] = asyncio.create_task(self._ask(asked))
            if len(self._opinions) > CACHE_SIZE:
                self._opinions.popitem(last=False)
        self._opinions.move_to_end(case)
        try:
            return await asyncio.shield(self._opinions[case])
        except Exception:
            self._opinions.pop(case, None)
            raise

    async def _ask(self, asked: list[dict[str, str]]) -> Opinion:
        self.usage.questions += 1
        async with self._places:
            await self._wait_for_turn()
            try:
                return await self._send(asked)
            except JudgeError as error:
                self.usage.failures[error.kind] += 1
                raise

    async def _send(self, asked: Any) -> Opinion:
        from openai import APIConnectionError, APIStatusError, APITimeoutError, OpenAIError

        settings = self.settings
        more: dict[str, Any] = {"logprobs": True, "top_logprobs": TOP_LOG_PROBS} if settings.log_probs else {}
        try:
            async with asyncio.timeout(settings.timeout_s):
                received = await self._client.chat.completions.create(
                    model=settings.model,
                    messages=asked,
                    temperature=0.0,
                    max_tokens=MAX_TOKENS,
                    response_format=RESPONSE_FORMAT,  # type: ignore[call-overload]
                    **more,
                )
        # Leave out the error's text: an endpoint may quote the question in it.
        except (TimeoutError, APITimeoutError):
            raise JudgeError("timeout", f"no verdict within {settings.timeout_s:g} s") from None
        except APIStatusError as error:
            raise JudgeError(f"HTTP {error.status_code}") from None
        except APIConnectionError:
            raise JudgeError("unreachable") from None
        except (OpenAIError, ValueError, RecursionError) as error:
            raise JudgeError("bad reply", type(error).__name__) from None
        completion = read_completion(received)
        tokens = completion.usage or TokenCounts()
        self.usage.prompt_tokens += tokens.prompt_tokens or 0
        self.usage.completion_tokens += tokens.completion_tokens or 0
        return read_reply(completion, settings.threshold)

    async def _wait_for_turn(self) -> None:
        """Wait until the next question may start, where the settings limit their number."""
        if self.settings.requests_per_minute is None:
            return
        now = asyncio.get_running_loop().time()
        start = max(now, self._next_start)
        self._next_start = start + 60 / self.settings.requests_per_minute
        await asyncio.sleep(start - now)

    async def _count(self, _: object) -> None:
        self.usage.requests += 1

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
