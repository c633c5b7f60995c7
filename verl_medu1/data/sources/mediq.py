"""MediQ: a case as a list of sentences, and a question with options.

Columns as published: id, context (a list of sentences, possibly empty), question, options (letter to text),
answer_idx. Med-U1's release: id, problem (case and question in tags), options, answer.
"""

from verl_medu1.data.example import Example
from verl_medu1.data.folds import OfficialTest
from verl_medu1.data.records import Record
from verl_medu1.data.sources.fields import letter, options, passages, text, untagged_text
from verl_medu1.data.sources.reader import Hub, Reader, Shape


def _example(row_id: str, question: str, record: Record, answer: str) -> Example:
    choices = options(record.get("options"), "options")
    return Example("MedIQ", row_id, "multiple_choice", question, letter(record, answer, choices), choices)


def _read_release(record: Record, row_id: str) -> Example:
    return _example(row_id, untagged_text(record, "problem"), record, "answer")


def _read_official(record: Record, row_id: str) -> Example:
    # Three published questions have no case and need none.
    case = " ".join(passages(record.get("context"), "context", least=0))
    return _example(row_id, f"{case}\n{text(record, 'question')}".strip(), record, "answer_idx")


READER = Reader(
    "CC-BY-4.0",
    (
        Shape("official", ("context", "question", "options", "answer_idx"), _read_official, "id"),
        Shape("Med-U1's release", ("problem", "options", "answer"), _read_release, "id"),
    ),
    Hub("stellalisy/mediQ", "validation"),
    # The authors' script runs on the validation split. A file of this form may contain training questions of MedQA.
    official_test=OfficialTest("the test and validation splits of MediQ", splits=("test", "validation")),
)
