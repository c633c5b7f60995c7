"""MMLU-Pro, category health: up to ten options.

Columns: question_id, question, options (a list), answer_index, category. Records of other categories are skipped.
Some releases pad the options to ten with "N/A".
"""

from verl_medu1.data.example import Example
from verl_medu1.data.folds import OfficialTest
from verl_medu1.data.records import Record
from verl_medu1.data.sources.fields import letter_at, options, text
from verl_medu1.data.sources.reader import Hub, Reader, Shape


def _is_health(record: Record) -> bool:
    return record.get("category") == "health"


def _read(record: Record, row_id: str) -> Example:
    given = record.get("options")
    choices = options(
        [None if item == "N/A" else item for item in given] if isinstance(given, list) else given, "options"
    )
    question, gold = text(record, "question"), letter_at(record, "answer_index", choices)
    return Example("MMLU-Pro", row_id, "multiple_choice", question, gold, choices)


READER = Reader(
    "MIT",
    (Shape("official", ("question", "options", "answer_index", "category"), _read, "question_id"),),
    Hub("TIGER-Lab/MMLU-Pro", "test"),
    keep=_is_health,
    keeps="category health",
    official_test=OfficialTest("MMLU-Pro, which publishes no rows to train on", every_row=True),
)
