"""Definition of a source: its published columns, and how to read a record as an example or generate one."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from verl_medu1.data.example import Example
from verl_medu1.data.folds import OfficialTest
from verl_medu1.data.images.column import ImageColumns
from verl_medu1.data.records import Record

# (record, row_id) -> example. Raises a ValueError that names the faulty field, but never its content.
Read = Callable[[Record, str], Example]


def _any(records: Sequence[Record]) -> bool:
    return True


def _every(record: Record) -> bool:
    return True


@dataclass(frozen=True)
class Hub:
    """A source on the Hugging Face hub: repository, configuration and default split."""

    repository: str
    split: str
    config: str | None = None


@dataclass(frozen=True)
class Shape:
    """One published form of a source.

    Attributes:
        release: publisher of the form, in words.
        columns: required columns.
        read: reads a record as an example.
        record_id: the column with a record's id; None to use its number.
        fits: distinguishes forms that have the same columns.
        name: name with which a user can select the form, as in NAME=FILE:name; "" if the columns decide.
    """

    release: str
    columns: tuple[str, ...]
    read: Read
    record_id: str | None = None
    fits: Callable[[Sequence[Record]], bool] = _any
    name: str = ""


@dataclass(frozen=True)
class Reader:
    """A source of questions.

    Attributes:
        licence: licence of the data, as stated by the publishers.
        shapes: published forms that can be read.
        hub: its place on the hub; None if it may not be there.
        keep: selects the records of this source, if its files contain others too.
        keeps: description of these records.
        credentialed: its files are under a data use agreement: not even their column names are printed.
        official_test: which of its rows are a benchmark's test set; None if no test set is known.
        keys: the source with short answers to this one's questions; its file is given behind a comma.
        with_key: (record, question -> short answer) -> the record with the short answer to its question.
        images: where the images of its records are; None if it has none.
        in_test: tells of a record by its own columns whether it belongs to `official_test`.
    """

    licence: str
    shapes: tuple[Shape, ...]
    hub: Hub | None = None
    keep: Callable[[Record], bool] = _every
    keeps: str = ""
    credentialed: bool = False
    official_test: OfficialTest | None = None
    keys: "Reader | None" = None
    with_key: Callable[[Record, Mapping[str, str]], Record] | None = None
    images: ImageColumns | None = None
    in_test: Callable[[Record], bool] | None = None

    def shape_of(self, records: Sequence[Record], form: str | None = None) -> Shape:
        """Return the form of the records, from the first record that has all columns of a form.

        Args:
            records: at least one record.
            form: name of the form, if the user states it.

        Raises:
            ValueError: the records have none of the forms; the message names missing and existing columns.
        """
        shapes = [shape for shape in self.shapes if form in (None, shape.name)]
        for record in records:
            for shape in shapes:
                if record.keys() >= set(shape.columns) and (form or shape.fits(records)):
                    return shape
        found = set(records[0])
        nearest = min(shapes, key=lambda shape: len(set(shape.columns) - found))
        missing = ", ".join(name for name in nearest.columns if name not in found)
        there = "" if self.credentialed else f" (there are {', '.join(map(str, records[0]))})"
        needed = " or ".join(f"{', '.join(shape.columns)} ({shape.release})" for shape in shapes)
        raise ValueError(f"the columns {missing} are missing{there}; needed are {needed}")


@dataclass(frozen=True)
class Generator:
    """A source that is generated instead of read: `--source NAME=N`.

    Attributes:
        licence: licence of the generated examples.
        draw: (number, seed) -> that number of examples; the same seed gives the same ones.
    """

    licence: str
    draw: Callable[[int, int], Iterable[Example]]
