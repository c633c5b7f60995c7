"""A search server that speaks Search-R1's protocol: bounded in time and size, cached.

    POST {"queries": [query], "topk": k, "return_scores": true}
      -> {"result": [[{"document": {"id": ..., "contents": ...}, "score": ...}, ...]]}

A document may have title and text instead of contents (`verl_medu1.retrieval.documents`).
"""

import asyncio
import hashlib
import json
from collections import OrderedDict
from typing import Any

import httpx

from reward_score.loopback import client_options, is_loopback
from reward_score.registry import credentialed_sources
from verl_medu1.retrieval.documents import BrokenRow, Document, read_document
from verl_medu1.retrieval.retriever import SearchFailed

# A longer reply is not read to its end.
MOST_BYTES = 16 << 20
# Characters of queries and documents that a process keeps.
CACHE_CHARACTERS = 64 << 20


class RemoteIndex:
    """Asks a search server; asks equal questions only once.

    Use it within a single event loop. Failures are not kept: the next equal question asks again.

    Args:
        address: where questions are posted, such as http://127.0.0.1:8000/retrieve.
        timeout_s: seconds until a question has failed.
        cache_characters: characters of queries and documents that are kept; those asked for longest ago go first.
    """

    def __init__(self, address: str, timeout_s: float, cache_characters: int = CACHE_CHARACTERS) -> None:
        self.address = address
        self._timeout_s = timeout_s
        self._client = httpx.AsyncClient(timeout=timeout_s, **client_options(address))
        self._asking: dict[tuple[str, int], asyncio.Task[list[Document]]] = {}
        self._kept: OrderedDict[tuple[str, int], list[Document]] = OrderedDict()
        self._room = cache_characters

    def may_see(self, data_source: str) -> bool:
        """Return whether a query about rows of a registered data source may be sent to the server.

        Raises:
            ValueError: the data source is not registered, so this can't be known.
        """
        return is_loopback(self.address) or not credentialed_sources([data_source])

    async def search(self, query: str, k: int) -> list[Document]:
        """Return at most k documents, in the server's order.

        Raises:
            ValueError: k is less than 1.
            SearchFailed: the server gave no result; see there for the kinds.
        """
        if k < 1:
            raise ValueError(f"k is {k}; give at least 1.")
        question = (query, k)
        if question in self._kept:
            self._kept.move_to_end(question)
            return list(self._kept[question])
        if question not in self._asking:
            # A task of its own: if the conversation that asks first is cancelled, others still wait for the reply.
            task = asyncio.create_task(self._ask(query, k))
            self._asking[question] = task
            task.add_done_callback(lambda done: self._end(question, done))
        return list(await asyncio.shield(self._asking[question]))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _end(self, question: tuple[str, int], task: asyncio.Task[list[Document]]) -> None:
        del self._asking[question]
        if task.cancelled() or task.exception():
            return
        self._kept[question] = task.result()
        self._room -= _size(question, self._kept[question])
        while self._room < 0:
            self._room += _size(*self._kept.popitem(last=False))

    async def _ask(self, query: str, k: int) -> list[Document]:
        # Not httpx's own JSON, which can't encode half of a surrogate pair.
        body = json.dumps({"queries": [query], "topk": k, "return_scores": True}).encode()
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await self._post(body)
        # Leave out the error's text: it may quote the query.
        except (TimeoutError, httpx.TimeoutException):
            raise SearchFailed("timeout") from None
        except httpx.DecodingError:
            raise SearchFailed("bad reply") from None
        except httpx.HTTPError:
            raise SearchFailed("unreachable") from None
        return await asyncio.to_thread(_documents, reply, k)

    async def _post(self, body: bytes) -> bytes:
        # Unpacked: a packed reply could be a thousand times as long as what is read of it.
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        request = self._client.build_request("POST", self.address, content=body, headers=headers)
        response = await self._client.send(request, stream=True, follow_redirects=False)
        try:
            if response.status_code != httpx.codes.OK:
                raise SearchFailed(f"HTTP {response.status_code}")
            reply = bytearray()
            async for chunk in response.aiter_bytes():
                reply += chunk
                if len(reply) > MOST_BYTES:
                    raise SearchFailed("too long")
            return bytes(reply)
        finally:
            await response.aclose()


def _size(question: tuple[str, int], documents: list[Document]) -> int:
    return len(question[0]) + sum(len(one.id) + len(one.title) + len(one.text) for one in documents)


def _documents(reply: bytes, k: int) -> list[Document]:
    """Read a reply; a server that sends more than k documents is read as far as the k-th."""
    try:
        (found,) = json.loads(reply)["result"]
        return [_document(one["document"]) for one in found[:k]]
    except (BrokenRow, ValueError, TypeError, KeyError, RecursionError):
        raise SearchFailed("bad reply") from None


def _document(record: Any) -> Document:
    """Return a document. Search-R1's BM25 server sends no ids; then it is a digest of the document."""
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]
    return read_document(record, digest)
