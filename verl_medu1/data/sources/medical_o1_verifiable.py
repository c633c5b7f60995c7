"""medical-o1-verifiable-problem: open-ended questions with a short answer.

Columns: "Open-ended Verifiable Question", "Ground-True Answer".
"""

from verl_medu1.data.example import Example
from verl_medu1.data.records import Record
from verl_medu1.data.sources.fields import text
from verl_medu1.data.sources.free_text import as_graded
from verl_medu1.data.sources.reader import Hub, Reader, Shape

QUESTION, ANSWER = "Open-ended Verifiable Question", "Ground-True Answer"


def _read(record: Record, row_id: str) -> Example:
    question, gold = text(record, QUESTION), text(record, ANSWER)
    return as_graded(Example("medical-o1-verifiable-problem", row_id, "open_ended", question, gold), ANSWER)


READER = Reader(
    "Apache-2.0",
    (Shape("official", (QUESTION, ANSWER), _read),),
    Hub("FreedomIntelligence/medical-o1-verifiable-problem", "train"),
)
