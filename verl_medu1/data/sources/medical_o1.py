"""medical-o1-reasoning-SFT: examination questions with an answer of several sentences, and reasoning.

Columns as published: Question, Complex_CoT (optional), Response. Med-U1's release: problem, answer and think (in tags,
which are removed).
"""

import re

from verl_medu1.data.example import Example
from verl_medu1.data.records import Record
from verl_medu1.data.sources.fields import FieldError, text, untagged_text
from verl_medu1.data.sources.free_text import as_graded
from verl_medu1.data.sources.reader import Hub, Reader, Shape

_ANSWER_TAGS = re.compile(r"^\s*<answer>\s*(.*?)\s*</answer>\s*$", re.DOTALL)


def _read_release(record: Record, row_id: str) -> Example:
    answer = text(record, "answer")
    wrapped = _ANSWER_TAGS.match(answer)
    gold = wrapped[1] if wrapped else answer
    if not gold:
        raise FieldError("answer", "has nothing between its tags", "it must hold text")
    question = untagged_text(record, "problem")
    return as_graded(Example("medical-o1-reasoning-SFT", row_id, "open_ended", question, gold), "answer")


def _read_official(record: Record, row_id: str) -> Example:
    question, gold = text(record, "Question"), text(record, "Response")
    return as_graded(Example("medical-o1-reasoning-SFT", row_id, "open_ended", question, gold), "Response")


READER = Reader(
    "Apache-2.0",
    (
        Shape("official", ("Question", "Response"), _read_official),
        Shape("Med-U1's release", ("problem", "answer"), _read_release, "id"),
    ),
    Hub("FreedomIntelligence/medical-o1-reasoning-SFT", "train", "en"),
)
