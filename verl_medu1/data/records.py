"""Records of a file or of a dataset on the Hugging Face hub, each with its place for error messages."""

import csv
import io
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from datasets import Dataset

Record = Mapping[str, Any]
# (place in the file, record)
Placed = tuple[str, Record]
# The field for a record's name, if a JSON file maps names to records.
KEY = "(key)"
# Excel writes semicolons in locales with a decimal comma. The first of equally suitable delimiters is used.
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
# The line in which a spreadsheet states its delimiter; Excel reads it but does not display it.
_STATED = re.compile(r"sep=([,;\t|])\r?\n", re.IGNORECASE)


def read_records(path: Path) -> list[Placed]:
    """Read a file of records, in the format given by its suffix.

    Messages name places and columns, but never the content of a record, which may be a patient's.

    Args:
        path: `.json` (a list, a mapping from names to records, or one record per line), `.jsonl`, `.csv` or `.tsv`
            (UTF-8, column names in the first line; separated by comma, semicolon, tab or bar) or `.parquet`.

    Returns:
        (place, record) pairs in the file's order. Lines are numbered from 1, as in editors; records and rows from 0.

    Raises:
        ValueError: the suffix is unknown, the file is missing, truncated or not UTF-8, or an entry is not a record.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "a.jsonl"
        ...     _ = path.write_text('{"question": "Which?"}')
        ...     read_records(path)
        [('line 1', {'question': 'Which?'})]
    """
    read = _FORMATS.get(path.suffix.lower())
    if read is None:
        raise ValueError(f"{path} ends in {path.suffix!r}; give a file that ends in {', '.join(_FORMATS)}.")
    try:
        records = list(read(path))
    except OSError as error:
        raise ValueError(f"{path} can't be read ({error.strerror}); give a file that exists and may be read.") from None
    for place, record in records:
        if not isinstance(record, Mapping):
            raise ValueError(f"{path}, {place}: it is a {type(record).__name__}; a record maps fields to values.")
    return records


def read_hub(repository: str, config: str | None, split: str) -> list[Placed]:
    """Read a split of a dataset on the Hugging Face hub, or from its cache on this machine.

    Args:
        repository: such as "openlifescienceai/medmcqa".
        config: configuration of the dataset; None if it has only one.
        split: such as "train".

    Returns:
        (place, record) pairs.

    Raises:
        ValueError: the package `datasets` is missing, or it can't load the dataset (no network, no such split).
    """
    try:
        from datasets import load_dataset
    except ImportError:
        raise ValueError(f"{repository} is read by the package datasets; pip install datasets.") from None
    # Silence its warnings about each attempt to reach the hub; the last failure is reported below.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        rows = _undecoded(load_dataset(repository, config, split=split))
    except Exception as error:  # from one of four libraries; in any case there are no rows
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(
            f"{repository} (split {split}) can't be loaded from the hub ({reason}); "
            "go online, or download it elsewhere and give its file."
        ) from None
    return [(f"row {place}", row) for place, row in enumerate(rows)]


def _undecoded(rows: "Dataset") -> "Dataset":
    """Return rows with images as bytes: `datasets` would decode them, whatever they are."""
    from datasets import Image, List

    for name, kind in rows.features.items():
        if isinstance(kind, Image):
            rows = rows.cast_column(name, Image(decode=False))
        elif isinstance(kind, List) and isinstance(kind.feature, Image):
            rows = rows.cast_column(name, List(Image(decode=False)))
    return rows


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}, line {line}: byte 0x{error.object[error.start]:02x} is not UTF-8; save the file as UTF-8."
        ) from None


def _loads(text: str, path: Path, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}" if where == "" else f"column {error.colno}"
        raise ValueError(f"{path}{where} is cut off or no JSON ({error.msg}, {place}); download it again.") from None
    except (RecursionError, ValueError):
        raise ValueError(
            f"{path}{where} is nested too deeply or has a number of thousands of digits; give a file of records."
        ) from None


def _json(path: Path) -> Iterator[tuple[str, Any]]:
    text = _text(path)
    if text.lstrip().startswith("{") and "\n{" in text:
        # One record per line: some data sets use the suffix .json for this.
        yield from _lines(path, text)
        return
    records = _loads(text, path, "")
    if isinstance(records, dict) and all(isinstance(record, dict) for record in records.values()):
        records = [{KEY: key, **record} for key, record in records.items()]
    if not isinstance(records, list):
        raise ValueError(
            f"{path} is neither a list of records nor a mapping from names to records; give the file as it is "
            "published."
        )
    for place, record in enumerate(records):
        yield f"record {place}", record


def _jsonl(path: Path) -> Iterator[tuple[str, Any]]:
    yield from _lines(path, _text(path))


def _lines(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    # Not splitlines(): a text may contain U+2028, which does not end a line in JSON.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"line {number}", _loads(line, path, f", line {number}")


def _csv(path: Path) -> Iterator[tuple[str, Any]]:
    text = _text(path)
    stated = _STATED.match(text)
    delimiter = stated[1] if stated else _delimiter(text)
    rows = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    header: list[str] = []
    first_line = 1
    try:
        for row in rows:
            place, first_line = f"line {first_line}", rows.line_num + 1
            # Skip the rows of blank cells that spreadsheets write below a table.
            if (stated and rows.line_num == 1) or not any(row):
                continue
            if not header:
                header = _checked_header(row, path, place)
            elif len(row) != len(header):
                raise ValueError(
                    f"{path}, {place}: it has {len(row)} fields and the header {len(header)} (separated by "
                    f"{_DELIMITERS[delimiter]}); the file is cut off or its quotes are broken, download it again."
                )
            else:
                yield place, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {first_line}: it is cut off or no CSV ({error}); download the file again."
        ) from None


def _checked_header(names: list[str], path: Path, place: str) -> list[str]:
    named = [name for name in names if name.strip()]
    if len(set(named)) < len(named):
        raise ValueError(f"{path}, {place}: two columns have the same name; rename one.")
    return names


def _delimiter(text: str) -> str:
    """Return the delimiter that gives the most columns in the first line."""
    first = text.partition("\n")[0]
    return max(_DELIMITERS, key=lambda delimiter: len(next(csv.reader([first], delimiter=delimiter), [])))


def _parquet(path: Path) -> Iterator[tuple[str, Any]]:
    with path.open("rb") as file:
        try:
            table = pq.read_table(file)
        except pa.ArrowException as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"{path} is cut off or no parquet file ({reason}); download it again.") from None
    for place, row in enumerate(table.to_pylist()):
        yield f"row {place}", row


_FORMATS: dict[str, Callable[[Path], Iterator[tuple[str, Any]]]] = {
    ".json": _json,
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".tsv": _csv,
    ".parquet": _parquet,
}
