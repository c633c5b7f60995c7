"""medical-o1-reasoning-SFT: examination questions with reasoning, and an answer of several sentences.

Columns as published: Question, Complex_CoT (optional), Response. Med-U1's release: problem, answer and think (in tags,
which are removed). The same authors publish short answers to the same questions, medical-o1-verifiable-problem: where
that file is given too, its answer is the gold, because it is the examination's and the explanation may contradict it.
"""

import re
from collections.abc import Mapping

from reward_score.response import TAGS
from verl_medu1.data.example import Example
from verl_medu1.data.records import Record
from verl_medu1.data.sources import medical_o1_verifiable
from verl_medu1.data.sources.fields import FieldError, is_empty, text, untagged, untagged_text
from verl_medu1.data.sources.free_text import as_graded
from verl_medu1.data.sources.reader import Hub, Reader, Shape

_ANSWER_TAGS = re.compile(r"^\s*<answer>\s*(.*?)\s*</answer>\s*$", re.DOTALL)
_THINK_TAGS = re.compile(r"^\s*<think>\s*(.*?)\s*</think>\s*$", re.DOTALL)
_SHORT_KEY = "(short key)"


def _with_key(record: Record, keys: Mapping[str, str]) -> Record:
    question = record.get("Question", record.get("problem"))
    key = keys.get(" ".join(untagged(question).split())) if isinstance(question, str) else None
    return {**record, _SHORT_KEY: key}


def _example(record: Record, row_id: str, question: str, gold: str, field: str, reasoning: str) -> Example:
    thought = "" if is_empty(record.get(reasoning)) else text(record, reasoning)
    wrapped = _THINK_TAGS.match(thought)
    thought = wrapped[1] if wrapped else thought
    if any(tag in thought for tag in TAGS):
        thought = ""  # a demonstration with it would not be well-formed
    row = Example("medical-o1-reasoning-SFT", row_id, "open_ended", question, gold, reasoning=thought)
    return as_graded(row, field, record.get(_SHORT_KEY) or "")


def _read_release(record: Record, row_id: str) -> Example:
    answer = text(record, "answer")
    wrapped = _ANSWER_TAGS.match(answer)
    gold = wrapped[1] if wrapped else answer
    if not gold:
        raise FieldError("answer", "has nothing between its tags", "it must hold text")
    return _example(record, row_id, untagged_text(record, "problem"), gold, "answer", "think")


def _read_official(record: Record, row_id: str) -> Example:
    question, gold = text(record, "Question"), text(record, "Response")
    return _example(record, row_id, question, gold, "Response", "Complex_CoT")


READER = Reader(
    "Apache-2.0",
    (
        Shape("official", ("Question", "Response"), _read_official),
        Shape("Med-U1's release", ("problem", "answer"), _read_release, "id"),
    ),
    Hub("FreedomIntelligence/medical-o1-reasoning-SFT", "train", "en"),
    keys=medical_o1_verifiable.KEYS,
    with_key=_with_key,
)
