"""Search: the model writes a query, and reads the documents that it finds, until it answers."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from reward_score.response import ANSWER_OPEN, THINK_CLOSE
from verl_medu1.data.actions import SEARCH_CLOSE, SEARCH_OPEN
from verl_medu1.environments.environment import Session
from verl_medu1.environments.gold_evidence import gold_evidence
from verl_medu1.retrieval.documents import Document
from verl_medu1.retrieval.retriever import LocalRetriever, SearchFailed
from verl_medu1.retrieval.settings import make_retriever

_QUERY = re.compile(f"{SEARCH_OPEN}(.*?){SEARCH_CLOSE}", re.DOTALL)
NOTHING, FAILED, NEITHER = "Nothing found.", "The search failed.", "Write one search, or the answer."
CONTROLS = ("nothing", "random")
DOCUMENTS = 3


class Search:
    """The environment `search`: one retriever for all conversations of a process.

    A row's `extra_info.environment` may be JSON with `evidence`, the ids of the documents that answer its question.

    Settings: those of the retriever (`verl_medu1.retrieval.settings`); `documents`, how many a search shows at most;
    and for controls `instead`, what it shows in place of what it finds: "nothing", or documents at "random".
    """

    last_turn = "This is your last turn: answer now."

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.address = settings.get("address")
        others = {name: value for name, value in settings.items() if name not in ("documents", "instead")}
        self._documents, self._instead = settings.get("documents", DOCUMENTS), settings.get("instead")
        if not isinstance(self._documents, int) or self._documents < 1:
            raise ValueError(f"episodes.settings.documents is {self._documents!r}; give a whole number of at least 1.")
        if self._instead not in (None, *CONTROLS):
            raise ValueError(f"episodes.settings.instead is {self._instead!r}; give {' or '.join(CONTROLS)}, or null.")
        try:
            self._retriever = make_retriever(others)
        except ValueError as error:
            raise ValueError(f"episodes.settings: {error}") from None
        if self._instead == "random" and not isinstance(self._retriever, LocalRetriever):
            raise ValueError(
                "episodes.settings.instead is 'random', which needs an index; give episodes.settings.index."
            )

    def start(self, row: Mapping[str, Any]) -> "SearchSession":
        """Begin a conversation.

        Raises:
            ValueError: its queries may not be sent to where they are searched, or its evidence can't be read.
        """
        self.check_may_see(row)
        return SearchSession(self, gold_evidence(row["extra_info"]))

    def check_may_see(self, row: Mapping[str, Any]) -> None:
        """Refuse a row whose text may not be sent to where it would be.

        Raises:
            ValueError: as in `start`.
        """
        data_source = str(row["data_source"])
        if not self._retriever.may_see(data_source):
            raise ValueError(f"{data_source} may not leave this machine, and {self.address} is elsewhere")

    def not_indexed(self, ids: Sequence[str]) -> list[str]:
        """Return the documents, by id, that the index does not have; [] where a server searches, which is not asked."""
        return self._retriever.index.lacking(ids) if isinstance(self._retriever, LocalRetriever) else []

    async def find(self, query: str) -> Sequence[Document]:
        """Return the documents that a search shows.

        Raises:
            SearchFailed: nobody knows what there is.
        """
        if self._instead == "nothing":
            return []
        if self._instead == "random":
            assert isinstance(self._retriever, LocalRetriever)
            index = self._retriever.index
            digests = (hashlib.sha256(f"{number} {query}".encode()).hexdigest() for number in range(self._documents))
            return [index.document(int(digest, 16) % index.facts.documents) for digest in digests]
        return await self._retriever.search(query, self._documents)


class SearchSession(Session):
    """A conversation with searches. An answer ends it; anything else that is no search is answered with a hint."""

    def __init__(self, environment: Search, evidence: Sequence[str]) -> None:
        self._environment, self._evidence = environment, list(evidence)
        self.calls = self.invalid = self.failed = 0
        self._searches: list[dict[str, Any]] = []

    async def step(self, text: str) -> str | None:
        """Search for what the turn asks for after its reasoning, and show what is found."""
        asked = text.rpartition(THINK_CLOSE)[2]
        if ANSWER_OPEN in asked:
            return None
        queries = [query.strip() for query in _QUERY.findall(asked)]
        if len(queries) != 1 or not queries[0]:
            self.invalid += 1
            return NEITHER
        return await self._search(queries[0])

    async def _search(self, query: str) -> str:
        self.calls += 1
        try:
            found = await self._environment.find(query)
        except SearchFailed as error:
            self.failed += 1
            self._searches.append({"query": query, "failed": str(error)})
            return FAILED
        self._searches.append({"query": query, "documents": [document.id for document in found]})
        return self._shown(found) or NOTHING

    def _shown(self, found: Sequence[Document]) -> str:
        return "\n\n".join(f"{document.title}: {document.text}" for document in found)

    def told(self, reply: str) -> str:
        """Return the documents that were shown; that there are none is worth nothing."""
        return "" if reply == NOTHING else reply

    def facts(self) -> Mapping[str, Any]:
        """Return the queries, each with the ids of the documents that were shown, and the ids of the evidence."""
        return {"searches": self._searches, "evidence": self._evidence}
