"""Writing a prepared data set: all files or none, and the same bytes for the same content."""

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
# Rows of a row group: as many are held as Python values at a time.
GROUP_ROWS = 4096


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal.

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


def earlier_files(out: Path) -> list[str]:
    """The files of the data set that `medu1 prepare` wrote into a folder earlier; none where it is new or empty.

    Raises:
        ValueError: it holds something, and no manifest of ours says that it may be replaced.

    Example:
        >>> earlier_files(Path("no such folder"))
        []
    """
    if not out.is_dir():
        return []
    try:
        # Hidden files are no data: ours of a run that was killed, or those of a file system.
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
    # A name with a folder in it is none that we wrote.
    return [name for name in files if name.endswith(".parquet") and Path(name).name == name]


def _write_table(path: Path, schema: pa.Schema, rows: Iterable[dict[str, Any]]) -> int:
    """Write rows in groups of `GROUP_ROWS`, and count them."""
    number, left = 0, iter(rows)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while group := list(islice(left, GROUP_ROWS)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
            number += len(group)
    return number


def write_data_set(
    out: Path, tables: Mapping[str, tuple[pa.Schema, Iterable[dict[str, Any]]]], manifest: Mapping[str, Any]
) -> None:
    """Write parquet files and the manifest of a data set.

    Everything is written under temporary names and renamed at the end, the manifest last: an interrupted run leaves
    no half file, and a manifest's hashes always fit its files. The files of an earlier data set are replaced: one that
    stayed might hold as training rows what are test rows now.

    Args:
        out: folder; made if it does not exist.
        tables: file name -> (schema, rows); rows that are generated are written as they come.
        manifest: what manifest.json says; `files` (name -> rows and SHA-256) is added.

    Raises:
        ValueError: the folder can't be written, or holds other things than a data set.

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
