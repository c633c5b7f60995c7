"""PubMedQA, expert-labelled: does an abstract answer its question with yes, no or maybe?

Columns of pqa_labeled: pubid, question, context (a mapping with the list contexts), final_decision. The authors' file
ori_pqal.json maps PubMed ids to records with QUESTION, CONTEXTS (a list), final_decision. Both have all 1,000
questions; the test set is 500 of them, identified by their PubMed ids.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from verl_medu1.data.example import Example
from verl_medu1.data.folds import OfficialTest
from verl_medu1.data.records import KEY, Record
from verl_medu1.data.sources.fields import FieldError, passages, shown, text
from verl_medu1.data.sources.reader import Hub, Reader, Shape

# The letters of the registry of reward_score.
_DECISIONS = {"yes": "A", "no": "B", "maybe": "C"}


@cache
def official_pmids() -> frozenset[str]:
    """Return the PubMed ids of the 500 test questions."""
    lines = Path(__file__).with_name("pubmedqa_test_pmids.txt").read_text(encoding="ascii").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))


def _example(record: Record, row_id: str, question: str, abstract: list[str]) -> Example:
    decision = text(record, "final_decision").lower()
    if decision not in _DECISIONS:
        raise FieldError("final_decision", f"holds {shown(decision)}", f"it must be one of {', '.join(_DECISIONS)}")
    choices = tuple((letter, word) for word, letter in _DECISIONS.items())
    problem = "\n".join([*abstract, question])
    return Example("PubMedQA", row_id, "multiple_choice", problem, _DECISIONS[decision], choices)


def _read_labelled(record: Record, row_id: str) -> Example:
    text(record, "pubid")
    context = record.get("context")
    abstract = passages(context.get("contexts") if isinstance(context, Mapping) else context, "context.contexts")
    return _example(record, row_id, text(record, "question"), abstract)


def _read_original(record: Record, row_id: str) -> Example:
    return _example(record, row_id, text(record, "QUESTION"), passages(record.get("CONTEXTS"), "CONTEXTS"))


READER = Reader(
    "MIT",
    # The PubMed id is required, because only it identifies rows of the test set.
    (
        Shape("official", ("pubid", "question", "context", "final_decision"), _read_labelled, "pubid"),
        Shape("the authors' ori_pqal.json", (KEY, "QUESTION", "CONTEXTS", "final_decision"), _read_original, KEY),
    ),
    Hub("qiaojin/PubMedQA", "train", "pqa_labeled"),
    official_test=OfficialTest("the 500 test questions of PubMedQA", ids=official_pmids),
)
