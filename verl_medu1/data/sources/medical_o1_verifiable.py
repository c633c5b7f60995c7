"""medical-o1-verifiable-problem: open-ended questions with a short answer.

Columns: "Open-ended Verifiable Question", "Ground-True Answer".
"""

from verl_medu1.data.example import Example
from verl_medu1.data.records import Record
from verl_medu1.data.sources.fields import text
from verl_medu1.data.sources.free_text import as_graded
from verl_medu1.data.sources.reader import Hub, Reader, Shape

QUESTION, ANSWER = "Open-ended Verifiable Question", "Ground-True Answer"


def _read_key(record: Record, row_id: str) -> Example:
    question, gold = text(record, QUESTION), text(record, ANSWER)
    return Example("medical-o1-verifiable-problem", row_id, "open_ended", question, gold)


def _read(record: Record, row_id: str) -> Example:
    return as_graded(_read_key(record, row_id), ANSWER)


_HUB = Hub("FreedomIntelligence/medical-o1-verifiable-problem", "train")
READER = Reader("Apache-2.0", (Shape("official", (QUESTION, ANSWER), _read),), _HUB)
# As short answers to the same questions elsewhere: question and answer as published, with the options in the question.
KEYS = Reader("Apache-2.0", (Shape("official", (QUESTION, ANSWER), _read_key),), _HUB)
