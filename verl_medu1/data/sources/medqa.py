"""MedQA: questions from the USMLE licensing exam. Columns: question, options (letter to text), answer_idx."""

from verl_medu1.data.example import Example
from verl_medu1.data.folds import OfficialTest
from verl_medu1.data.records import Record
from verl_medu1.data.sources.fields import letter, options, text
from verl_medu1.data.sources.reader import Hub, Reader, Shape


def _read(record: Record, row_id: str) -> Example:
    choices = options(record.get("options"), "options")
    question, gold = text(record, "question"), letter(record, "answer_idx", choices)
    return Example("MedQA", row_id, "multiple_choice", question, gold, choices)


READER = Reader(
    "MIT (the repository); the provenance of the examination's texts is unclear",
    (Shape("official", ("question", "options", "answer_idx"), _read),),
    Hub("GBaker/MedQA-USMLE-4-options", "train"),
    official_test=OfficialTest("the test and validation splits of MedQA", splits=("test", "validation")),
)
