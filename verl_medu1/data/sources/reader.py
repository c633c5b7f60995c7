"""What a source is: the columns it is published with, and how a record becomes an example; or how one is computed."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from verl_medu1.data.example import Example
from verl_medu1.data.folds import OfficialTest
from verl_medu1.data.records import Record

# (record, row_id) -> example. Raises ValueError naming the field at fault, never what stands in it.
Read = Callable[[Record, str], Example]


def _any(records: Sequence[Record]) -> bool:
    return True


def _every(record: Record) -> bool:
    return True


@dataclass(frozen=True)
class Hub:
    """Where a source is on the Hugging Face hub: repository, configuration and the split that is read by default."""

    repository: str
    split: str
    config: str | None = None


@dataclass(frozen=True)
class Shape:
    """One published form of a source.

    Attributes:
        release: who publishes it so, in words.
        columns: those that must be there.
        read: a record as example.
        record_id: the column that names a record; None where its place does.
        fits: tells apart forms that have the same columns.
        name: by which a user can ask for the form, as in NAME=FILE:name; "" where the columns alone decide.
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
        licence: of the data, as their publishers state it.
        shapes: the published forms it is read from.
        hub: where it is on the hub; None where it may not be there.
        keep: which records belong to it, where its files hold others too.
        keeps: these records in words.
        credentialed: its files are under a data use agreement: not even their column names are printed.
        official_test: which of its rows are a benchmark's test set; None where nothing is known of one.
    """

    licence: str
    shapes: tuple[Shape, ...]
    hub: Hub | None = None
    keep: Callable[[Record], bool] = _every
    keeps: str = ""
    credentialed: bool = False
    official_test: OfficialTest | None = None

    def shape_of(self, records: Sequence[Record], form: str | None = None) -> Shape:
        """The form that the records have, by the columns of the first that has those of a form.

        Args:
            records: one at least.
            form: the name of the form, where the user states it.

        Raises:
            ValueError: none of the published ones; the message names the missing columns and those that are there.
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
    """A source that is computed instead of read: `--source NAME=N`.

    Attributes:
        licence: of what is generated.
        draw: (number, seed) -> so many examples; the same seed gives the same ones.
    """

    licence: str
    draw: Callable[[int, int], Iterable[Example]]
