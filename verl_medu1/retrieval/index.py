"""Opens the folder of an index and searches in it: BM25 on memory-mapped files, which the processes of a node share.

index.json        format, number of documents, digest; sizes of the files
documents.arrow   id, title and text of each document, in the corpus's order
words.arrow       word and its number, sorted by word
rank.npy          place of each document's id among all ids, sorted
bm25/             bm25s's files: the score of each word in each document
"""

from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from bm25s import BM25
from pydantic import BaseModel, ValidationError

from verl_medu1.retrieval.documents import Document
from verl_medu1.retrieval.words import search_words

FORMAT = 1
FACTS, DOCUMENTS, WORDS, RANK, SCORES = "index.json", "documents.arrow", "words.arrow", "rank.npy", "bm25"
# Different words of a query that count: one of a megabyte takes no longer than one of a page.
MOST_WORDS = 256


class _Format(BaseModel):
    format: int


class Facts(_Format):
    """What index.json says.

    Attributes:
        format: `FORMAT` of the version that made the index.
        documents: their number.
        sha256: digest of the documents in order, each as the JSON list of id, title and text with a line break.
        version: version of this package that made it.
        corpus: names of the files read.
        broken: reason -> number of rows that are no documents.
        files: name -> size in bytes.
    """

    documents: int
    sha256: str
    version: str
    corpus: list[str]
    broken: dict[str, int]
    files: dict[str, int]


class LocalIndex:
    """An index that `verl_medu1.retrieval.build.build_index` has written.

    Only sizes of files are compared with index.json, not their content. Threads may search at the same time.

    Args:
        folder: the index.

    Attributes:
        facts: what index.json says.

    Raises:
        ValueError: the folder is no index, one of another format, or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.facts = _read_facts(folder)
        for name, size in self.facts.files.items():
            path = folder / name
            if not path.is_file() or path.stat().st_size != size:
                raise _damaged(folder, f"{name} is missing or not {size} bytes long")
        try:
            self._documents = _mapped(folder / DOCUMENTS)
            words = _mapped(folder / WORDS)
            self._words, self._numbers = words["word"], words["number"]
            self._rank: np.ndarray[Any, Any] = np.load(folder / RANK, mmap_mode="r")
            self._scores = BM25.load(folder / SCORES, mmap=True, load_vocab=False)
            same = {len(self._documents), len(self._rank), self._scores.scores["num_docs"], self.facts.documents}
        except (OSError, ValueError, KeyError, TypeError, EOFError, pa.ArrowException) as error:
            raise _damaged(folder, type(error).__name__) from None
        if len(same) > 1:
            raise _damaged(folder, "its files have different numbers of documents")

    def search(self, query: str, k: int) -> list[Document]:
        """Return the documents with the highest BM25 scores (bm25s's `lucene` method, k1 1.5, b 0.75).

        Args:
            query: any text. Each of its words counts once, and the first `MOST_WORDS` different ones count.
            k: at most this many.

        Returns:
            The documents that share a word with the query, by score (descending), then id.

        Raises:
            ValueError: k is less than 1.
        """
        if k < 1:
            raise ValueError(f"k is {k}; give at least 1.")
        words = list(dict.fromkeys(search_words(query)))[:MOST_WORDS]
        # Sorted, so that the order of the words can't change a sum in its last digit.
        numbers = sorted(number for word in words if (number := self._number(word)) is not None)
        if not numbers:
            return []
        scores = self._scores.get_scores_from_ids(numbers)
        k = min(k, int(np.count_nonzero(scores)))
        least = np.partition(scores, -k)[-k]
        candidates = np.flatnonzero(scores >= least)
        best = candidates[np.lexsort((self._rank[candidates], -scores[candidates]))][:k]
        return [self.document(int(place)) for place in best]

    def document(self, place: int) -> Document:
        """Return the document at a place of the corpus, from 0."""
        return Document(*(self._documents[name][place].as_py() for name in ("id", "title", "text")))

    def lacking(self, ids: Sequence[str]) -> list[str]:
        """Return those of these ids that no document has, in their order."""
        column = self._documents["id"]
        found = set(column.filter(pc.is_in(column, value_set=pa.array(ids, column.type))).to_pylist())
        return [name for name in ids if name not in found]

    def _number(self, word: str) -> int | None:
        place = bisect_left(range(len(self._words)), word, key=lambda place: self._words[place].as_py())
        if place == len(self._words) or self._words[place].as_py() != word:
            return None
        return int(self._numbers[place].as_py())


def _mapped(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def _read_facts(folder: Path) -> Facts:
    try:
        text = (folder / FACTS).read_bytes()
    except OSError:
        raise ValueError(
            f"{folder} is no index of documents ({FACTS} can't be read); give a folder of `medu1 index build`."
        ) from None
    try:
        number = _Format.model_validate_json(text).format
        if number != FORMAT:
            raise ValueError(
                f"{folder} is an index of format {number}, and this version reads {FORMAT}; build it again with "
                "`medu1 index build`."
            )
        return Facts.model_validate_json(text)
    except ValidationError:
        raise _damaged(folder, f"{FACTS} has another form") from None


def _damaged(folder: Path, what: str) -> ValueError:
    return ValueError(f"{folder} is a damaged index ({what}); build it again with `medu1 index build`.")
