"""HTTP responses of which no more is read than may be."""

import sys
from collections.abc import AsyncIterator
from functools import cache
from typing import Any

# A longer reply is not read to its end.
MOST_BYTES = 4 << 20


class TooLong(Exception):
    """A server sends more than is read, or packs what it sends, so that nobody knows how much it is."""


async def bound(response: Any) -> None:
    """Let at most `MOST_BYTES` of a response be read: an event hook of a client, which asks for unpacked replies.

    Args:
        response: of httpx, or of httpx2, which newer versions of the package `openai` use.

    Raises:
        TooLong: the reply is packed; reading it raises the same if it is too long.
    """
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise TooLong
    package: Any = sys.modules[type(response).__module__.partition(".")[0]]
    response.stream = _bounded(package.AsyncByteStream)(response.stream)


@cache
def _bounded(base: Any) -> Any:
    class Bounded(base):  # type: ignore[misc]
        def __init__(self, stream: Any) -> None:
            self._stream, self._left = stream, MOST_BYTES

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for part in self._stream:
                self._left -= len(part)
                if self._left < 0:
                    raise TooLong
                yield part

        async def aclose(self) -> None:
            await self._stream.aclose()

    return Bounded
