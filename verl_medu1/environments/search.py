"""Search: the model writes a query, and reads the documents that it finds, until it answers."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import ConfigDict, Field

from reward_score.response import ANSWER_OPEN, THINK_CLOSE
from verl_medu1.retrieval.documents import Document
from verl_medu1.retrieval.retriever import SearchFailed
from verl_medu1.retrieval.settings import RetrieverSettings, make_retriever

SEARCH_OPEN, SEARCH_CLOSE = "<search>", "</search>"
_QUERY = re.compile(f"{SEARCH_OPEN}(.*?){SEARCH_CLOSE}", re.DOTALL)
NOTHING, FAILED, NEITHER = "Nothing found.", "The search failed.", "Write one search, or the answer."


class SearchSettings(RetrieverSettings):
    """`episodes.settings` of the search environment.

    Attributes:
        documents: Documents that a search shows, at most.
        instead: For controls, what each search shows in place of what it finds: "nothing", or documents at "random".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    documents: int = Field(default=3, ge=1, description="a whole number of at least 1")
    instead: Literal["nothing", "random"] | None = Field(default=None, description="nothing, random or null")


class Search:
    """The environment `search`: one retriever for all conversations of a process."""

    last_turn = "This is your last turn: answer now."

    def __init__(self, settings: Mapping[str, Any]) -> None:
        found = SearchSettings.read(settings)
        self.retriever = make_retriever(found)
        self.documents, self.instead = found.documents, found.instead

    def start(self, row: Mapping[str, Any]) -> "SearchSession":
        """Begin a conversation; a question about data that may not leave the machine is searched for here alone."""
        return SearchSession(self, str(row["data_source"]))

    async def find(self, query: str, data_source: str) -> Sequence[Document]:
        """Return the documents that a conversation is shown.

        Raises:
            SearchFailed: nobody knows what there is.
        """
        if self.instead == "nothing":
            return []
        if self.instead == "random":
            return self.retriever.sample(self.documents, seed=query)
        return await self.retriever.search(query, self.documents, data_source)


class SearchSession:
    """A conversation with searches. An answer ends it; anything else that is no search is answered with a hint."""

    def __init__(self, environment: Search, data_source: str) -> None:
        self._environment, self._data_source = environment, data_source
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
        self.calls += 1
        (query,) = queries
        try:
            found = await self._environment.find(query, self._data_source)
        except SearchFailed as error:
            self.failed += 1
            self._searches.append({"query": query, "failed": str(error)})
            return FAILED
        self._searches.append({"query": query, "documents": [document.id for document in found]})
        return "\n\n".join(f"{document.title}: {document.text}" for document in found) or NOTHING

    def facts(self) -> Mapping[str, Any]:
        """Return the queries, each with the ids of the documents that were shown."""
        return {"searches": self._searches}
