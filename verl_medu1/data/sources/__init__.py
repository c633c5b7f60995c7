"""The sources for `medu1 prepare --source NAME=FILE`, one module each, and those that other packages add."""

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verl_medu1.data.example import Example
from verl_medu1.data.folds import TEST, asked_fold, official_rows
from verl_medu1.data.images.column import NO_SETTINGS, ImageReader, ImageSettings
from verl_medu1.data.records import Placed, read_hub, read_records
from verl_medu1.data.sources import (
    ehrnoteqa,
    medcalc,
    medcalc_verified,
    medical_o1,
    medical_o1_verifiable,
    mediq,
    medmcqa,
    medqa,
    medxpertqa,
    medxpertqa_mm,
    mmlu_pro,
    omnimedvqa,
    own,
    pathvqa,
    pmc_vqa,
    pubmedqa,
    slake,
    vqa_rad,
)
from verl_medu1.data.sources.reader import Generator, Reader
from verl_medu1.data.sources.usable import MAX_UNUSABLE, read_usable
from verl_medu1.data.storage import sha256
from verl_medu1.extensions import SOURCES, added, load

READERS: dict[str, Reader] = {
    "medcalc": medcalc.READER,
    "medcalc-verified": medcalc_verified.READER,
    "mediq": mediq.READER,
    "medxpertqa": medxpertqa.READER,
    "medqa": medqa.READER,
    "medmcqa": medmcqa.READER,
    "pubmedqa": pubmedqa.READER,
    "mmlu-pro": mmlu_pro.READER,
    "medical-o1": medical_o1.READER,
    "medical-o1-verifiable": medical_o1_verifiable.READER,
    "ehrnoteqa": ehrnoteqa.READER,
    "vqa-rad": vqa_rad.READER,
    "slake": slake.READER,
    "pathvqa": pathvqa.READER,
    "pmc-vqa": pmc_vqa.READER,
    "medxpertqa-mm": medxpertqa_mm.READER,
    "omnimedvqa": omnimedvqa.READER,
    own.NAME: own.READER,
}
HUB = "hub"


@dataclass(frozen=True)
class Loaded:
    """A source's examples.

    Attributes:
        examples: in the order of the source.
        provenance: their origin, for the manifest.
        unusable: reason why records are unusable -> number of records.
        others: description of records of its files that the source leaves out -> their number.
        official: row_id of the rows that belong to a benchmark's test set.
        test_set: name of that test set; "" if there are no such rows.
    """

    examples: list[Example]
    provenance: dict[str, Any]
    unusable: Mapping[str, int] = field(default_factory=dict)
    others: Mapping[str, int] = field(default_factory=dict)
    official: frozenset[str] = frozenset()
    test_set: str = ""


def read_source(name: str, where: Path | str) -> list[Example]:
    """Read the examples of a source; see `load_source`.

    Example:
        >>> read_source("mediq", Path("mediq.json"))  # doctest: +SKIP
    """
    return load_source(name, where).examples


def find_source(name: str) -> Reader | Generator:
    """Return a source from `READERS`, or one that another package adds through the entry-point group `medu1.sources`.

    Raises:
        ValueError: there is no such source, or its package can't be loaded.
    """
    if name in READERS:
        return READERS[name]
    others = added(SOURCES)
    if name not in others:
        raise ValueError(
            f"there is no source {name!r}; choose quickstart, synthetic-calc=N, or one of "
            f"{', '.join([*READERS, *others])} with =FILE."
        )
    found = load(others[name])
    if not isinstance(found, Reader | Generator):
        raise ValueError(f"source {name!r} ({others[name].value}) is a {type(found).__name__}, no Reader or Generator.")
    return found


def source_title(name: str, where: Path | str) -> str:
    """Return a source's title in counts, caps and row ids: its name, with the answer type for a user's own questions.

    Example:
        >>> source_title("medqa", "a.json"), source_title("own", "a.csv:calculation")
        ('medqa', 'own-calculation')
    """
    form = _path_and_form(name, own.READER, where)[1] if name == own.NAME else None
    return f"{name}-{form}" if form else name


def load_source(
    name: str,
    where: Path | str,
    seed: int = 0,
    max_unusable: float = MAX_UNUSABLE,
    images: ImageSettings = NO_SETTINGS,
) -> Loaded:
    """Read a source from a file or from the hub, or compute it.

    Args:
        name: a key of `READERS`, or the name of another package's source.
        where: a file (see `verl_medu1.data.records.read_records`), or several as a pattern with `*`, followed by
            `:FORM` if the source has forms that its columns do not tell apart, or by a comma and where its short
            answers are, a file or "hub" (`Reader.keys`); "hub" or "hub:SPLIT" (for a source with a single split on the
            hub, SPLIT is an official fold); for a `Generator` a number.
        seed: seed of a `Generator`.
        max_unusable: the largest share of records that may be unusable (see `verl_medu1.data.sources.usable`).
        images: where image files are, and how large images may become.

    Returns:
        One example per usable record, and licence, release, file or hub id, and SHA-256. `row_id` is the title with
        the record's id or number.

    Raises:
        ValueError: the name is unknown, the source can't be read or has other columns, or too many records are unusable
            (the message gives place and field of the first).

    Example:
        >>> load_source("medqa", "hub:test").provenance["licence"]  # doctest: +SKIP
        'MIT (the repository); the provenance of the examination's texts is unclear'
    """
    reader = find_source(name)
    if isinstance(reader, Generator):
        if not str(where).isdecimal() or not int(str(where)):
            raise ValueError(f"--source {name} is {str(where)!r}; write {name}=N with a whole number of questions.")
        examples = list(reader.draw(int(str(where)), seed))
        return Loaded(examples, {"licence": reader.licence, "generated": len(examples)})
    file, keys = _file_and_keys(reader, where)
    place, _, split = file.partition(":")
    fold = asked_fold(name, reader.official_test, split) if place == HUB else None
    form, beside, folder = None, None, images.folders.get(name)
    if place == HUB:
        placed, origin = _from_hub(name, reader, "" if fold else split)
    else:
        path, form = _path_and_form(name, reader, file)
        placed, origin = _from_file(path)
        beside = path
    if not placed:
        raise ValueError(f"{name}={where} has no records; give the file as it is published.")
    if keys and reader.keys and reader.with_key:
        key_records, origin["keys"] = _from_hub(name, reader.keys, "") if keys == HUB else _from_file(Path(keys))
        answers = _short_answers(f"{name}={where}", reader.keys, key_records, max_unusable)
        placed = [(place, reader.with_key(record, answers)) for place, record in placed]
    pictures = None
    if name in images.folders and not reader.images:
        raise ValueError(f"--images names {name}, which has no images; leave it out.")
    if reader.images:
        folders = reader.images.within(folder) if folder else reader.images.beside(beside) if beside else []
        pictures = ImageReader(reader.images, folders, images.side)
    read = read_usable(source_title(name, where), f"{name}={where}", reader, placed, max_unusable, form, pictures)
    examples = read.examples
    official = official_rows(reader.official_test, examples, origin.get("split")) | read.official
    if pictures and (summary := pictures.summary())["read"]:
        origin["images"] = summary
        _tell_images(name, summary)
    elif folder and reader.images:
        columns = " or ".join(reader.images.columns)
        raise ValueError(f"--images names {name}, and no record of {where} has an image; they are read from {columns}.")
    if fold:
        examples = [row for row in examples if (row.row_id in official) == (fold == TEST)]
        official &= {row.row_id for row in examples}
        origin["fold"] = fold
    provenance = {"licence": reader.licence, "release": read.release, **origin}
    test_set = reader.official_test.title if reader.official_test and official else ""
    return Loaded(examples, provenance, read.unusable, read.others, official, test_set)


def _file_and_keys(reader: Reader, where: Path | str) -> tuple[str, str]:
    """Split FILE,KEYS, either of which may be "hub"; KEYS is "" if there are none."""
    if reader.keys is None or Path(where).exists():
        return str(where), ""
    file, _, keys = str(where).partition(",")
    return file, keys


def _short_answers(origin: str, reader: Reader, placed: Sequence[Placed], max_unusable: float) -> dict[str, str]:
    """Return question -> short answer, without the questions that have several."""
    found: dict[str, set[str]] = {}
    for row in read_usable("keys", origin, reader, placed, max_unusable).examples:
        found.setdefault(" ".join(row.question.split()), set()).add(row.gold)
    return {question: answers.pop() for question, answers in found.items() if len(answers) == 1}


def _tell_images(name: str, summary: Mapping[str, Any]) -> None:
    notes = "".join(f"; {number} with {note}" for note, number in summary["notes"].items())
    number = summary["read"]
    what = f"{number} different image{'s' * (number != 1)}, written without metadata"
    without = f"; {none} records have no image" if (none := summary["without"]) else ""
    print(f"{name}: {what}{notes}{without}", file=sys.stderr)


def _from_file(path: Path) -> tuple[list[Placed], dict[str, Any]]:
    """Read a file, or all whose names fit a pattern with `*`, as a source is published in parts."""
    if "*" not in path.name:
        return read_records(path), {"file": path.name, "sha256": sha256(path)}
    files = sorted(path.parent.glob(path.name))
    if not files:
        raise ValueError(f"no file is named like {path}; give a file, or a pattern that fits some.")
    placed = [(f"{file.name}, {place}", record) for file in files for place, record in read_records(file)]
    return placed, {"file": path.name, "files": {file.name: sha256(file) for file in files}}


def _path_and_form(name: str, reader: Reader, where: Path | str) -> tuple[Path, str | None]:
    """Split FILE or FILE:FORM, where FORM is the name of one of the reader's forms."""
    forms = [shape.name for shape in reader.shapes if shape.name]
    file, colon, form = str(where).rpartition(":")
    if not forms or not colon or Path(where).exists():
        return Path(where), None
    if form not in forms:
        raise ValueError(f"--source {name}={where} ends in {form!r}; write {name}=FILE:{' or FILE:'.join(forms)}.")
    return Path(file), form


def _from_hub(name: str, reader: Reader, split: str) -> tuple[list[Placed], dict[str, Any]]:
    if reader.hub is None:
        raise ValueError(f"{name} is on no hub; give your own copy: {name}=FILE.")
    hub = reader.hub
    placed = read_hub(hub.repository, hub.config, split or hub.split)
    origin = {"hub": hub.repository, "config": hub.config, "split": split or hub.split, "sha256": _digest(placed)}
    return placed, origin


def _digest(placed: Sequence[Placed]) -> str:
    """Return the SHA-256 of records from the hub, where the content under a name may change."""
    digest = hashlib.sha256()
    for _, record in placed:
        digest.update(json.dumps(record, sort_keys=True, default=_bytes_or_text).encode())
    return digest.hexdigest()


def _bytes_or_text(value: Any) -> str:
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else str(value)
