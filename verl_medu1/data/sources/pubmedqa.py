"""PubMedQA, expert-labelled: does an abstract answer its question with yes, no or maybe?

Columns of pqa_labeled: pubid, question, context (a mapping with the list contexts), final_decision. Its 1,000 questions
are published as one split; the test set is 500 of them, told by their PubMed ids.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from verl_medu1.data.example import Example
from verl_medu1.data.folds import OfficialTest
from verl_medu1.data.records import Record
from verl_medu1.data.sources.fields import passages, text
from verl_medu1.data.sources.reader import Hub, Reader, Shape

# The letters of the registry of reward_score.
_DECISIONS = {"yes": "A", "no": "B", "maybe": "C"}


@cache
def official_pmids() -> frozenset[str]:
    """The PubMed ids of the 500 test questions."""
    lines = Path(__file__).with_name("pubmedqa_test_pmids.txt").read_text(encoding="ascii").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))


def _read(record: Record, row_id: str) -> Example:
    context = record.get("context")
    abstract = passages(context.get("contexts") if isinstance(context, Mapping) else context, "context.contexts")
    decision = text(record, "final_decision").lower()
    if decision not in _DECISIONS:
        raise ValueError(f"field final_decision is none of {', '.join(_DECISIONS)}")
    text(record, "pubid")  # Without it nothing would tell a row of the test set.
    question = "\n".join([*abstract, text(record, "question")])
    choices = tuple((letter, word) for word, letter in _DECISIONS.items())
    return Example("PubMedQA", row_id, "multiple_choice", question, _DECISIONS[decision], choices)


READER = Reader(
    "MIT",
    (Shape("official", ("pubid", "question", "context", "final_decision"), _read, "pubid"),),
    Hub("qiaojin/PubMedQA", "train", "pqa_labeled"),
    official_test=OfficialTest("the 500 test questions of PubMedQA", ids=official_pmids),
)
