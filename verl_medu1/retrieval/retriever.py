"""What an environment searches with, and the local index as one."""

import asyncio
from typing import Protocol

from verl_medu1.retrieval.documents import Document
from verl_medu1.retrieval.index import LocalIndex


class SearchFailed(RuntimeError):
    """A search has no result. An empty result is one: then no document fits.

    Attributes:
        kind: "timeout", "unreachable", "bad reply", "too long" or "HTTP 500" (or another status). Nothing of the query
            or the reply is in it, so that it may be counted and logged.
    """

    def __init__(self, kind: str) -> None:
        super().__init__(f"search: {kind}")
        self.kind = kind


class Retriever(Protocol):
    """Finds documents."""

    def may_see(self, data_source: str) -> bool:
        """Return whether a query about rows of a registered data source may be sent where this one searches.

        Raises:
            ValueError: the data source is not registered, so this can't be known.
        """
        ...

    async def search(self, query: str, k: int) -> list[Document]:
        """Return at most k documents, the best one first; the same ones each time.

        Raises:
            SearchFailed: there is no result.
        """
        ...


class LocalRetriever:
    """Searches in an index of this process, in a thread: other conversations go on meanwhile.

    Args:
        index: the index.
    """

    def __init__(self, index: LocalIndex) -> None:
        self.index = index

    def may_see(self, data_source: str) -> bool:
        """Return True: a query stays in this process."""
        return True

    async def search(self, query: str, k: int) -> list[Document]:
        """See `LocalIndex.search`."""
        return await asyncio.to_thread(self.index.search, query, k)
