"""MedMCQA: questions from Indian entrance examinations.

Columns: id, question, opa, opb, opc, opd, cop (the number of the right option). The hub's files count cop from 0, the
authors' own JSON files from 1. For a file with neither a 0 nor a 4 the user must say which, as in FILE:from-0, because
a wrong guess would shift every answer by one option. The test split has no answers: its cop is -1.
"""

from collections.abc import Callable, Sequence

from verl_medu1.data.example import Example
from verl_medu1.data.folds import OfficialTest
from verl_medu1.data.records import Record
from verl_medu1.data.sources.fields import letter_at, options, text, whole
from verl_medu1.data.sources.reader import Hub, Read, Reader, Shape

_OPTIONS = {"A": "opa", "B": "opb", "C": "opc", "D": "opd"}
_COLUMNS = ("question", *_OPTIONS.values(), "cop")


def _number(record: Record) -> int | None:
    try:
        return whole(record, "cop")
    except ValueError:
        return None  # the reader reports what is wrong with it


def _counts_from(first: int) -> Callable[[Sequence[Record]], bool]:
    def fits(records: Sequence[Record]) -> bool:
        numbers = {number for number in map(_number, records) if number is not None}
        if numbers == {-1}:
            raise ValueError("field cop is -1 in all records: the test split has no answers; give another split")
        if (0 in numbers) == (4 in numbers):
            raise ValueError(
                "field cop does not show whether it counts from 0, as on the hub, or from 1, as the authors do; "
                "say it: medmcqa=FILE:from-0 or medmcqa=FILE:from-1"
            )
        return (0 in numbers) == (first == 0)

    return fits


def _reader(first: int) -> Read:
    def read(record: Record, row_id: str) -> Example:
        choices = options({letter: record.get(column) for letter, column in _OPTIONS.items()}, "opa to opd")
        gold = letter_at(record, "cop", choices, first)
        return Example("MedMCQA", row_id, "multiple_choice", text(record, "question"), gold, choices)

    return read


READER = Reader(
    "Apache-2.0",
    (
        Shape("the hub, cop from 0", _COLUMNS, _reader(0), "id", _counts_from(0), "from-0"),
        Shape("the authors, cop from 1", _COLUMNS, _reader(1), "id", _counts_from(1), "from-1"),
    ),
    Hub("openlifescienceai/medmcqa", "train"),
    # The test split has no answers, so results are reported on the validation split.
    official_test=OfficialTest("the validation split of MedMCQA", splits=("validation", "test")),
)
