"""Writes a prepared data set: all files or none, and the same bytes for the same content."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

MANIFEST = "manifest.json"
# Rows per row group; only this many are held as Python values at a time. With images they are fewer: an array of
# arrow's binary type holds at most 2 GB.
GROUP_ROWS, IMAGE_GROUP_ROWS = 4096, 256


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     sha256(Path(file.name))[:8]
        'e3b0c442'
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def as_list(value: Any) -> list[str]:
    """Return the files that a key of verl's configuration names: one, several or none."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def training_rows(config: Any) -> int:
    """Return the number of rows in all training files, which must exist."""
    return sum(pq.read_metadata(Path(name).expanduser()).num_rows for name in as_list(config.data.train_files))


def earlier_files(out: Path) -> list[str]:
    """Return the files that an earlier `medu1 prepare` wrote into a folder; [] if it is new or empty.

    Raises:
        ValueError: the folder is not empty, and has no manifest of ours that says what may be replaced.

    Example:
        >>> earlier_files(Path("no such folder"))
        []
    """
    if not out.is_dir():
        return []
    try:
        # Ignore hidden files: temporary ones of a killed run, or those of the file system.
        found = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise ValueError(f"--out {out} can't be read ({error.strerror}); give a folder with room and access.") from None
    if not found:
        return []
    try:
        files = list(json.loads((out / MANIFEST).read_text(encoding="utf-8"))["files"].keys())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(
            f"--out {out} holds {found[0]} and no manifest.json of medu1 prepare, so nothing in it is replaced; "
            "give a new or empty folder."
        ) from None
    # We never write a name with a folder in it.
    return [name for name in files if name.endswith(".parquet") and Path(name).name == name]


def _write_table(path: Path, schema: pa.Schema, rows: Iterable[dict[str, Any]]) -> int:
    """Write rows in groups, and return their number."""
    number, left = 0, iter(rows)
    most = IMAGE_GROUP_ROWS if "images" in schema.names else GROUP_ROWS
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while group := list(islice(left, most)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
            number += len(group)
    return number


def write_data_set(
    out: Path, tables: Mapping[str, tuple[pa.Schema, Iterable[dict[str, Any]]]], manifest: Mapping[str, Any]
) -> None:
    """Write parquet files and the manifest of a data set.

    Everything is written under temporary names and renamed at the end, the manifest last, so an interrupted run leaves
    no incomplete file. Files of an earlier data set are removed, because their training rows may be test rows now.

    Args:
        out: folder; created if it does not exist.
        tables: file name -> (schema, rows); rows from a generator are written as they come.
        manifest: content of manifest.json; `files` (name -> rows and SHA-256) is added.

    Raises:
        ValueError: the folder can't be written, or contains something other than a data set.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_data_set(Path(folder), {"a.parquet": (pa.schema([("x", pa.int64())]), [{"x": 1}])}, {})
        ...     sorted(os.listdir(folder))
        ['a.parquet', 'manifest.json']
    """
    temporary = {name: out / f".{name}.tmp" for name in [*tables, MANIFEST]}
    stale = set(earlier_files(out)) - tables.keys()
    try:
        out.mkdir(parents=True, exist_ok=True)
        files = {}
        for name, (schema, rows) in tables.items():
            number = _write_table(temporary[name], schema, rows)
            files[name] = {"rows": number, "sha256": sha256(temporary[name])}
        text = json.dumps({**manifest, "files": files}, indent=2, ensure_ascii=False)
        temporary[MANIFEST].write_text(text + "\n", encoding="utf-8")
        for name in stale:
            (out / name).unlink(missing_ok=True)
        for name, path in temporary.items():
            os.replace(path, out / name)
    except OSError as error:
        raise ValueError(
            f"--out {out} can't be written ({error.strerror}); give a folder with room and access."
        ) from None
    finally:
        for path in temporary.values():
            if path.parent.is_dir():
                path.unlink(missing_ok=True)
