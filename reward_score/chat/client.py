"""Asks a language model at an OpenAI-compatible endpoint: bounded in time and size, paced, counted."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from reward_score.chat.completion import ChatError, Completion, TokenCounts, read_completion
from reward_score.chat.settings import ChatSettings
from reward_score.loopback import client_options, is_loopback
from reward_score.registry import credentialed_sources


@dataclass
class Usage:
    """What an endpoint has cost so far, in this process.

    Attributes:
        questions: Questions that were asked; an equal one is asked once.
        requests: HTTP requests, with repeated ones.
        prompt_tokens: As the server counts them; 0 if it doesn't.
        completion_tokens: As the server counts them; 0 if it doesn't.
        failures: Questions without a reply that can be used, by `ChatError.kind`.
    """

    questions: int = 0
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    failures: Counter[str] = field(default_factory=Counter)


class ChatClient:
    """Asks the endpoint.

    Use it within a single event loop. Needs the package `openai` (`pip install verl-medu1[judge]`), which repeats a
    failed request and waits as long as a server's Retry-After says.

    Args:
        settings: The endpoint.
        failure: The class of the errors that it raises.
    """

    def __init__(self, settings: ChatSettings, failure: type[ChatError] = ChatError) -> None:
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        from reward_score.chat.bounded import bound

        self.settings, self.usage = settings, Usage()
        self._failure = failure
        hooks: dict[str, list[Any]] = {"request": [self._count], "response": [bound]}
        self._client = AsyncOpenAI(
            base_url=settings.base_url,
            # The client requires a key; a server that needs none ignores it.
            api_key=os.environ[settings.api_key_env] if settings.api_key_env else "none",
            timeout=settings.timeout_s,
            max_retries=settings.retries,
            # Unpacked: a packed reply could be a thousand times as long as what is read of it.
            default_headers={"Accept-Encoding": "identity"},
            http_client=DefaultAsyncHttpxClient(event_hooks=hooks, **client_options(settings.base_url)),
        )
        self._places = asyncio.Semaphore(settings.concurrency)
        self._next_start = 0.0

    def may_see(self, data_source: str) -> bool:
        """Return whether rows of a registered data source may be sent to the endpoint."""
        return is_loopback(self.settings.base_url) or not credentialed_sources([data_source])

    async def ask[Result](
        self,
        asked: list[dict[str, str]],
        read: Callable[[Completion], Result],
        max_tokens: int,
        more: Mapping[str, Any] | None = None,
    ) -> Result:
        """Return what `read` makes of the endpoint's reply, sampled at temperature 0.

        Args:
            asked: Chat messages.
            read: Reads the completion; raises an error of the class `failure` if it can't be used.
            max_tokens: Of the reply.
            more: Further parameters of the request.

        Raises:
            ChatError: There is no such reply; of the class `failure`.
        """
        self.usage.questions += 1
        async with self._places:
            await self._wait_for_turn()
            try:
                return read(await self._send(asked, max_tokens, more or {}))
            except ChatError as error:
                self.usage.failures[error.kind] += 1
                raise

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _send(self, asked: Any, max_tokens: int, more: Mapping[str, Any]) -> Completion:
        from openai import APIConnectionError, APIStatusError, APITimeoutError, OpenAIError

        from reward_score.chat.bounded import TooLong

        seconds = self.settings.timeout_s
        try:
            async with asyncio.timeout(seconds):
                received = await self._client.chat.completions.create(
                    model=self.settings.model, messages=asked, temperature=0.0, max_tokens=max_tokens, **more
                )
        # Leave out the error's text: an endpoint may quote the question in it.
        except (TimeoutError, APITimeoutError):
            raise self._failure("timeout", f"no reply within {seconds:g} s") from None
        except APIStatusError as error:
            raise self._failure(f"HTTP {error.status_code}") from None
        # Older versions of the package wrap what a hook raises.
        except (TooLong, APIConnectionError) as error:
            is_too_long = isinstance(error, TooLong) or isinstance(error.__cause__, TooLong)
            raise self._failure("too long" if is_too_long else "unreachable") from None
        except (OpenAIError, ValueError, RecursionError) as error:
            raise self._failure("bad reply", type(error).__name__) from None
        completion = read_completion(received, self._failure)
        tokens = completion.usage or TokenCounts()
        self.usage.prompt_tokens += tokens.prompt_tokens or 0
        self.usage.completion_tokens += tokens.completion_tokens or 0
        return completion

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
