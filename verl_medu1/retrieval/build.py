"""A corpus -> the folder of an index (verl_medu1/retrieval/index.py)."""

import hashlib
import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from bm25s import BM25
from rich.console import Console

from verl_medu1.data.tracking import tracked
from verl_medu1.models.whole_folder import require_new, whole_folder
from verl_medu1.retrieval.contained import QuestionFinder, write_found
from verl_medu1.retrieval.documents import Document, Rows, check_files, read_corpus
from verl_medu1.retrieval.index import DOCUMENTS, FACTS, FORMAT, RANK, SCORES, WORDS, Facts
from verl_medu1.retrieval.words import search_words

FOUND = "questions_found.csv"
_SCHEMA = pa.schema([(name, pa.large_string()) for name in ("id", "title", "text")])
# Documents, and characters of their text, that are written at a time.
_BATCH, _BATCH_CHARACTERS = 4096, 1 << 26


@dataclass(frozen=True)
class Built:
    """What was built.

    Attributes:
        facts: what index.json says.
        rows: what was read.
        words: different words.
    """

    facts: Facts
    rows: Rows
    words: int


def build_index(files: Sequence[Path], out: Path, finder: QuestionFinder | None = None) -> Built:
    """Build an index of the documents of a corpus.

    What takes memory is the words of all documents, as numbers, and their scores, which bm25s computes at once.

    Args:
        files: the corpus, see `verl_medu1.retrieval.documents.read_corpus`.
        out: folder to write, which must not exist; it appears once it is whole.
        finder: looks into each document; what it finds is written into the folder as `FOUND`.

    Raises:
        ValueError: a file can't be read or is of another format, more than 1 % of the rows are broken, no document has
            a word, or `out` exists.

    Example:
        >>> import tempfile
        >>> from verl_medu1.retrieval.index import LocalIndex
        >>> folder = Path(tempfile.mkdtemp())
        >>> lines = ['{"id": "a", "text": "Vitamin K."}', '{"id": "b", "text": "Vitamin B."}']
        >>> _ = (folder / "corpus.jsonl").write_text("\\n".join(lines))
        >>> built = build_index([folder / "corpus.jsonl"], folder / "index")
        >>> [document.id for document in LocalIndex(folder / "index").search("vitamin b", 2)]
        ['b', 'a']
    """
    check_files(files)
    require_new(out)
    rows = Rows()
    numbers: dict[str, int] = {}
    documents: list[array[int]] = []
    digest = hashlib.sha256()
    with _writable(out), whole_folder(out) as folder:
        folder.mkdir()
        with pa.OSFile(str(folder / DOCUMENTS), "wb") as file, pa.ipc.new_file(file, _SCHEMA) as writer:
            for batch in _batches(tracked(read_corpus(files, rows), "reading documents")):
                columns = [[getattr(document, name) for document in batch] for name in _SCHEMA.names]
                writer.write_batch(pa.record_batch(columns, schema=_SCHEMA))
                for document in batch:
                    words = search_words(f"{document.title}\n{document.text}")
                    documents.append(array("i", [numbers.setdefault(word, len(numbers)) for word in words]))
                    digest.update(json.dumps([document.id, document.title, document.text]).encode() + b"\n")
                    if finder:
                        finder.look(document)
        rows.check()
        if not numbers:
            raise ValueError("No document of the corpus has a word that can be searched for; give another corpus.")
        with Console(stderr=True).status("computing scores"):
            _write_scores(folder, documents, numbers)
            _write_rank(folder)
        if finder:
            write_found(folder / FOUND, finder.found)
        names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        facts = Facts(
            format=FORMAT,
            documents=len(documents),
            sha256=digest.hexdigest(),
            version=version("verl-medu1"),
            corpus=[path.name for path in files],
            broken=dict(rows.broken),
            files={str(name): (folder / name).stat().st_size for name in names},
        )
        (folder / FACTS).write_text(facts.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return Built(facts, rows, len(numbers))


@contextmanager
def _writable(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(
            f"--out {out} can't be written, or the corpus can't be read ({reason}); look for room and access."
        ) from None


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    characters = 0
    for document in documents:
        batch.append(document)
        characters += len(document.title) + len(document.text)
        if len(batch) >= _BATCH or characters >= _BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _write_scores(folder: Path, documents: list["array[int]"], numbers: dict[str, int]) -> None:
    scores = BM25(method="lucene", k1=1.5, b=0.75, csc_backend="scipy")
    scores.index((documents, numbers), create_empty_token=False, show_progress=False)
    # Words are in a file of ours: bm25s would read its own into the memory of each process.
    scores.vocab_dict = {}
    scores.save(folder / SCORES, show_progress=False)
    words = sorted(numbers)
    table = pa.table(
        {
            "word": pa.array(words, pa.large_string()),
            "number": pa.array([numbers[word] for word in words], pa.int32()),
        }
    )
    with pa.OSFile(str(folder / WORDS), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _write_rank(folder: Path) -> None:
    with pa.memory_map(str(folder / DOCUMENTS)) as file:
        ids = pa.ipc.open_file(file).read_all().select(["id"])
        order = pc.sort_indices(ids, sort_keys=[("id", "ascending")]).to_numpy()
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    np.save(folder / RANK, rank)
