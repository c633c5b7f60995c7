"""Searcher: the model finds and selects documents, and a frozen reader answers the question from them (s3)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from reward_score.chat import Once
from reward_score.loopback import is_loopback
from reward_score.reader import READING, Reading
from reward_score.registry import credentialed_sources
from reward_score.response import THINK_CLOSE
from verl_medu1.data.actions import SEARCH_CLOSE, SEARCH_OPEN, SELECT_CLOSE, SELECT_OPEN, STOP
from verl_medu1.environments.gold_evidence import gold_evidence
from verl_medu1.environments.reader import ReaderFailed
from verl_medu1.environments.readers import make_reader
from verl_medu1.environments.search import Search, SearchSession
from verl_medu1.retrieval.documents import Document
from verl_medu1.retrieval.retriever import SearchFailed

# A turn after its reasoning, as a whole: documents that are selected, then a search or the end. No white space is tried
# twice, so that a long turn takes no longer than its length.
_SELECT = rf"{SELECT_OPEN}\s*+(?P<numbers>\d{{1,6}}(?:[\s,]++\d{{1,6}})*)\s*+{SELECT_CLOSE}"
_SEARCH = rf"{SEARCH_OPEN}(?P<query>(?:(?!{SEARCH_OPEN}|{SEARCH_CLOSE}).)++){SEARCH_CLOSE}"
_TURN = re.compile(rf"(?:{_SELECT})?\s*+(?:{_SEARCH}|(?P<stop>{STOP}))?", re.DOTALL)
NEITHER = "Write one search, select documents by their numbers, or stop."
READS = 3
# Replies of the reader that a process keeps.
CACHE_SIZE = 100_000


class Searcher(Search):
    """The environment `searcher`: one retriever and one reader for all conversations of a process.

    Settings: those of the environment `search`; `reader` (`verl_medu1.environments.readers`); and `reads`, how many
    documents the reader gets at most, of those selected and of those that the question itself finds.
    """

    last_turn = "This is your last turn: select and stop now."

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__({name: value for name, value in settings.items() if name not in ("reader", "reads")})
        self.reads = settings.get("reads", READS)
        if not isinstance(self.reads, int) or self.reads < 1:
            raise ValueError(f"episodes.settings.reads is {self.reads!r}; give a whole number of at least 1.")
        try:
            self._reader = make_reader(settings.get("reader"))
        except ValueError as error:
            raise ValueError(f"episodes.settings.{error}") from None
        self._replies = Once[tuple[str, tuple[str, ...]], str](CACHE_SIZE)
        # One that is elsewhere, if any is: what may not leave this machine is checked against it.
        addresses = [address for address in (self.address, self._reader.address) if address]
        self.address = min(addresses, key=is_loopback, default=None)

    @property
    def reader(self) -> str:
        """The identity of the reader."""
        return self._reader.identity

    def start(self, row: Mapping[str, Any]) -> "SearcherSession":
        """Begin a conversation about the last user message of the prompt, which is also what the reader is asked.

        Raises:
            ValueError: its text may not be sent to where it is searched or read, or its evidence can't be read.
        """
        self.check_may_see(row)
        questions = [message["content"] for message in row["raw_prompt"] if message["role"] == "user"]
        if not questions:
            raise ValueError(f"row {row['extra_info'].get('row_id')!r} has no user message, which a reader is asked")
        return SearcherSession(self, questions[-1], gold_evidence(row["extra_info"]))

    def check_may_see(self, row: Mapping[str, Any]) -> None:
        """Refuse a row whose text may not be sent to retriever or reader."""
        super().check_may_see(row)
        data_source, address = str(row["data_source"]), self._reader.address
        if address and not is_loopback(address) and credentialed_sources([data_source]):
            raise ValueError(f"{data_source} may not leave this machine, and {address} is elsewhere")

    async def read(self, question: str, documents: Sequence[Document]) -> str:
        """Return what the reader replies: the same for the same documents in any order.

        Raises:
            ReaderFailed: there is no reply.
        """
        in_order = sorted(documents, key=lambda document: document.id)
        key = question, tuple(document.id for document in in_order)
        return await self._replies.get(key, lambda: self._reader.read(question, in_order))

    async def naive(self, question: str) -> list[Document]:
        """Return what the question itself finds, whatever searches show.

        Raises:
            SearchFailed: nobody knows what there is.
        """
        return await self._retriever.search(question, self.reads)


class SearcherSession(SearchSession):
    """A conversation whose documents stay here: the model names them by number, and nothing it writes is one."""

    def __init__(self, environment: Searcher, question: str, evidence: Sequence[str]) -> None:
        super().__init__(environment, evidence)
        self._library, self._question = environment, question
        # By id, in the order in which they were first shown; the first has number 1.
        self._found: dict[str, Document] = {}
        self._selected: dict[str, Document] = {}
        self._naive: list[Document] = []
        self._stopped = False
        self._reading: Reading | None = None

    async def step(self, text: str) -> str | None:
        """Select what the turn names, then search for what it asks for, or stop."""
        turn = _TURN.fullmatch(text.rpartition(THINK_CLOSE)[2].strip())
        query = turn["query"].strip() if turn and turn["query"] else None
        if turn is None or not any(turn.groups()) or query == "":
            self.invalid += 1
            return NEITHER
        numbers = [int(number) for number in re.findall(r"\d+", turn["numbers"] or "")]
        if problem := self._select(numbers):
            self.invalid += 1
            return problem
        if turn["stop"]:
            self._stopped = True
            return None
        if query:
            return await self._search(query)
        return f"Selected: {len(self._selected)}."

    async def finish(self) -> None:
        """Let the reader answer, from what was selected by the end and from what the question itself finds."""
        self.calls += 1
        answer = naive_answer = failed = ""
        try:
            self._naive = await self._library.naive(self._question)
            naive_answer = await self._library.read(self._question, self._naive)
            answer = await self._library.read(self._question, list(self._selected.values()))
        except (SearchFailed, ReaderFailed) as error:
            self.failed += 1
            failed = str(error)
        self._reading = Reading(reader=self._library.reader, answer=answer, naive_answer=naive_answer, failed=failed)

    def facts(self) -> Mapping[str, Any]:
        """Return searches, selected documents, those of naive retrieval, and what the reader replied to each."""
        assert self._reading, "the episode goes on"
        chosen = {"selected": list(self._selected), "naive": [document.id for document in self._naive]}
        return {**super().facts(), **chosen, "stopped": self._stopped, READING: self._reading}

    def _select(self, numbers: Sequence[int]) -> str:
        """Select documents by number, or none of them; return what is wrong with the numbers, "" if nothing is."""
        found = list(self._found.values())
        if unknown := [number for number in numbers if not 1 <= number <= len(found)]:
            return f"There is no document {unknown[0]}."
        selected = self._selected | {found[number - 1].id: found[number - 1] for number in numbers}
        if len(selected) > self._library.reads:
            return f"Select at most {self._library.reads}."
        self._selected = selected
        return ""

    def _shown(self, found: Sequence[Document]) -> str:
        for document in found:
            self._found.setdefault(document.id, document)
        numbers = {name: number for number, name in enumerate(self._found, start=1)}
        return "\n\n".join(f"[{numbers[document.id]}] {document.title}: {document.text}" for document in found)
