"""MediQ: a case as a list of sentences, and a question with options.

Columns as published: id, context (a list of sentences, possibly empty), question, options (letter to text),
answer_idx. Med-U1's release: id, problem (case and question in tags), options, answer.

As a consultation (`--source mediq=FILE:consultation`) the question comes with the first sentence of the case alone. The
patient knows the published column `facts`, the case in short statements, and never says what an option says.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import replace

from reward_score.aliases import aliases
from verl_medu1.data.example import Example
from verl_medu1.data.folds import OfficialTest
from verl_medu1.data.records import Record
from verl_medu1.data.sources.fields import letter, options, passages, text, untagged_text
from verl_medu1.data.sources.reader import Hub, Reader, Shape

CONSULTATION = "consultation"
# Questions that may be asked, at least and at most, as in DoctorAgent-RL.
LEAST, MOST = 2, 10
_NUMBER = re.compile(r"^\d+\.\s+")


def _example(row_id: str, question: str, record: Record, answer: str) -> Example:
    choices = options(record.get("options"), "options")
    return Example("MedIQ", row_id, "multiple_choice", question, letter(record, answer, choices), choices)


def _read_release(record: Record, row_id: str) -> Example:
    return _example(row_id, untagged_text(record, "problem"), record, "answer")


def _read_official(record: Record, row_id: str) -> Example:
    # Three published questions have no case and need none.
    case = " ".join(passages(record.get("context"), "context", least=0))
    return _example(row_id, f"{case}\n{text(record, 'question')}".strip(), record, "answer_idx")


def _read_consultation(record: Record, row_id: str) -> Example:
    first = passages(record.get("context"), "context")[0]
    example = _example(row_id, f"{first}\n{text(record, 'question')}", record, "answer_idx")
    facts = [_NUMBER.sub("", fact) for fact in passages(record.get("facts"), "facts")]
    # By the row's id, so that everyone who prepares the file gets the same.
    budget = LEAST + hashlib.sha256(row_id.encode()).digest()[0] % (MOST - LEAST + 1)
    names = [wording for _, option in example.options for wording in (option, *aliases(option))]
    return replace(example, environment=json.dumps({"budget": budget, "facts": facts, "names": names}))


def _by_name(records: Sequence[Record]) -> bool:
    return False


READER = Reader(
    "CC-BY-4.0",
    (
        Shape("official", ("context", "question", "options", "answer_idx"), _read_official, "id"),
        Shape("Med-U1's release", ("problem", "options", "answer"), _read_release, "id"),
        Shape(
            "official, as consultations",
            ("context", "facts", "question", "options", "answer_idx"),
            _read_consultation,
            "id",
            _by_name,
            CONSULTATION,
        ),
    ),
    Hub("stellalisy/mediQ", "validation"),
    # The authors' script runs on the validation split. A file of this form may contain training questions of MedQA.
    official_test=OfficialTest("the test and validation splits of MediQ", splits=("test", "validation")),
)
