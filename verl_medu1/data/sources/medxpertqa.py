"""MedXpertQA-Text: ten options, which are also in the question's text and are removed there.

Columns as published: id, question, options (letter to text), label. Med-U1's release: problem, choices, answer.
"""

import re

from verl_medu1.data.example import Example
from verl_medu1.data.folds import OfficialTest
from verl_medu1.data.records import Record
from verl_medu1.data.sources.fields import FieldError, letter, options, untagged_text
from verl_medu1.data.sources.reader import Hub, Read, Reader, Shape

_CHOICES = re.compile(r"\n?\s*Answer Choices\s*:")


def _reader(question: str, choices: str, answer: str) -> Read:
    def read(record: Record, row_id: str) -> Example:
        stem = _CHOICES.split(untagged_text(record, question))[0].strip()
        if not stem:
            raise FieldError(question, "has nothing before its answer choices", "it must hold a question")
        pairs = options(record.get(choices), choices)
        return Example("MedXpertQA", row_id, "multiple_choice", stem, letter(record, answer, pairs), pairs)

    return read


READER = Reader(
    "MIT",
    (
        Shape("official", ("question", "options", "label"), _reader("question", "options", "label"), "id"),
        Shape("Med-U1's release", ("problem", "choices", "answer"), _reader("problem", "choices", "answer"), "id"),
    ),
    Hub("TsinghuaC3I/MedXpertQA", "test", "Text"),
    official_test=OfficialTest("MedXpertQA, which publishes no rows to train on", every_row=True),
)
