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


def read_official(data_source: str) -> Read:
    """Return the reader of the published form, with or without images."""
    return _reader(data_source, "question", "options", "label")


def _without_images(read: Read) -> Read:
    def read_text(record: Record, row_id: str) -> Example:
        if record.get("images"):
            raise FieldError("images", "has images", "give a file of MedXpertQA-Text, or medxpertqa-mm=FILE")
        return read(record, row_id)

    return read_text


def _reader(data_source: str, question: str, choices: str, answer: str) -> Read:
    def read(record: Record, row_id: str) -> Example:
        stem = _CHOICES.split(untagged_text(record, question))[0].strip()
        if not stem:
            raise FieldError(question, "has nothing before its answer choices", "it must hold a question")
        pairs = options(record.get(choices), choices)
        return Example(data_source, row_id, "multiple_choice", stem, letter(record, answer, pairs), pairs)

    return read


_released = _reader("MedXpertQA", "problem", "choices", "answer")
READER = Reader(
    "MIT",
    (
        Shape("official", ("question", "options", "label"), _without_images(read_official("MedXpertQA")), "id"),
        Shape("Med-U1's release", ("problem", "choices", "answer"), _released, "id"),
    ),
    Hub("TsinghuaC3I/MedXpertQA", "test", "Text"),
    official_test=OfficialTest("MedXpertQA, which publishes no rows to train on", every_row=True),
)
