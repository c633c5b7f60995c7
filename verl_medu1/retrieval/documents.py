"""A document, and reading corpora as they are published, one row at a time.

| corpus | columns |
|---|---|
| MedRAG's MedCorp | id, title, content, contents |
| Search-R1's wiki-18 | id, contents: the title in quotes, a line break and the text; or the text alone |
| BEIR | _id, title, text |
"""

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

# The first column that a row has counts. MedCorp's `contents` repeats the title.
_TEXTS, _IDS = ("text", "content", "contents"), ("id", "_id")
_COLUMNS = (*_IDS, "title", *_TEXTS)
_FORMATS = (".jsonl", ".json", ".jsonl.gz", ".parquet")
# Rows of a parquet file that are Python values at a time.
_BATCH = 1024
# A corpus with a larger share of broken rows is another format than we take it for, or a damaged file.
MOST_BROKEN = 0.01


@dataclass(frozen=True, slots=True)
class Document:
    """A document of a corpus.

    Attributes:
        id: unique within the corpus.
        title: "" if it has none.
        text: without the title; "" if the title is all there is.
    """

    id: str
    title: str
    text: str


class BrokenRow(ValueError):
    """A row is no document. Its text is the reason, which quotes nothing of the row."""


@dataclass
class Rows:
    """What has been read so far.

    Attributes:
        number: rows, broken ones included.
        broken: reason -> number of rows that are no documents.
        first: reason -> place of the first such row.
    """

    number: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def count(self, reason: str, place: str) -> None:
        """Count a broken row."""
        self.broken[reason] += 1
        self.first.setdefault(reason, place)

    def check(self) -> None:
        """Check that nearly all rows are documents.

        Raises:
            ValueError: there is no document, or more than `MOST_BROKEN` of the rows are broken.
        """
        broken = self.broken.total()
        if broken > MOST_BROKEN * self.number:
            reasons = "; ".join(
                f"{number}: {reason}, first in {self.first[reason]}" for reason, number in self.broken.most_common()
            )
            raise ValueError(
                f"{broken} of {self.number} rows are no documents ({reasons}); give a corpus whose rows have a text "
                f"({', '.join(_TEXTS)}) and, if they have one, an id ({', '.join(_IDS)}) of their own."
            )
        if not self.number:
            raise ValueError("The corpus has no rows; give files with documents.")


def read_document(record: Any, number: int | str) -> Document:
    """Return the document of a record.

    Args:
        record: a row of a corpus.
        number: the id of a record that states none.

    Raises:
        BrokenRow: it has neither title nor text, or these are of another type.

    Example:
        >>> read_document({"id": 7, "contents": '"Aspirin"\\nA salicylate.'}, 0)
        Document(id='7', title='Aspirin', text='A salicylate.')
        >>> read_document({"_id": "a", "title": "Aspirin", "text": "A salicylate."}, 0)
        Document(id='a', title='Aspirin', text='A salicylate.')
    """
    if not isinstance(record, Mapping):
        raise BrokenRow("no record")
    name = next((name for name in _TEXTS if record.get(name) is not None), "text")
    text, title = record.get(name) or "", record.get("title") or ""
    if not isinstance(text, str) or not isinstance(title, str):
        raise BrokenRow("title or text is no string")
    if name == "contents" and not title:
        first, _, rest = text.partition("\n")
        if rest and len(first) > 2 and first[0] == first[-1] == '"':
            title, text = first[1:-1], rest
    if not (title.strip() or text.strip()):
        raise BrokenRow("no text")
    own = next((record[name] for name in _IDS if record.get(name) is not None), number)
    if not isinstance(own, str | int) or isinstance(own, bool) or own == "":
        raise BrokenRow("the id is neither text nor a whole number")
    document = Document(str(own), title, text)
    try:
        f"{document.id}{title}{text}".encode()
    except UnicodeEncodeError:
        raise BrokenRow("half of a surrogate pair") from None
    return document


def check_files(files: Sequence[Path]) -> None:
    """Check that files are corpora by their names, and that they can be read.

    Raises:
        ValueError: one is missing, can't be read or ends in something else.
    """
    for path in files:
        if not path.name.lower().endswith(_FORMATS):
            raise ValueError(f"{path} is none of {', '.join(_FORMATS)}; give files of documents.")
        try:
            path.open("rb").close()
        except OSError as error:
            raise ValueError(f"{path} can't be read ({error.strerror}); give a file that exists.") from None


def read_corpus(files: Iterable[Path], rows: Rows) -> Iterator[Document]:
    """Yield the documents of a corpus, and count in `rows` what was read.

    A row without an id gets its number, which counts from 0 through all files. Of rows with the same id the first is
    the document. All ids are in memory.

    Args:
        files: `.jsonl`, `.jsonl.gz`, `.json` (one record a line) or `.parquet`, as `check_files` wants them.
        rows: counts.

    Raises:
        ValueError: a file is cut off or of another format.

    Example:
        >>> import tempfile
        >>> path, rows = Path(tempfile.mkdtemp()) / "corpus.jsonl", Rows()
        >>> _ = path.write_text('{"text": "One."}\\n{"text": ""}\\n')
        >>> list(read_corpus([path], rows)), rows.broken
        ([Document(id='0', title='', text='One.')], Counter({'no text': 1}))
    """
    seen: set[str] = set()
    for path in files:
        for place, record in _records(path):
            number, rows.number = rows.number, rows.number + 1
            try:
                document = read_document(_loaded(record), number)
                if document.id in seen:
                    raise BrokenRow("duplicate id")
            except BrokenRow as error:
                rows.count(str(error), f"{path.name}, {place}")
                continue
            seen.add(document.id)
            yield document


def _loaded(record: Any) -> Any:
    if not isinstance(record, bytes):
        return record
    try:
        return json.loads(record)
    except (ValueError, RecursionError):
        raise BrokenRow("no JSON") from None


def _records(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield (place, record) of a file; a record of a JSON file is a line of bytes."""
    if path.suffix.lower() == ".parquet":
        yield from _parquet(path)
        return
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            yield from _lines(path, file)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise ValueError(f"{path} is cut off or not packed by gzip; download it again.") from None


def _lines(path: Path, file: BinaryIO | gzip.GzipFile) -> Iterator[tuple[str, bytes]]:
    if file.read(64).lstrip().startswith(b"["):
        raise ValueError(f"{path} is a JSON list; write one record a line (jq -c '.[]').")
    file.seek(0)
    for number, line in enumerate(file, start=1):
        if line.strip():
            yield f"line {number}", line


def _parquet(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        with pq.ParquetFile(path) as file:
            names = [name for name in _COLUMNS if name in file.schema_arrow.names]
            if not {"title", *_TEXTS} & set(names):
                raise ValueError(
                    f"{path} has the columns {', '.join(file.schema_arrow.names)}; a text is in one of "
                    f"{', '.join(_TEXTS)}."
                )
            number = 0
            for batch in file.iter_batches(_BATCH, columns=names):
                for row in batch.to_pylist():
                    yield f"row {number}", row
                    number += 1
    except (pa.ArrowException, OSError) as error:
        raise ValueError(
            f"{path} is cut off or no parquet file ({str(error).splitlines()[0]}); download it again."
        ) from None
