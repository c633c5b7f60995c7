"""Judges an answer by a row's checklist: statements about the answer; rules decide those that they can."""

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from reward_score.judge.client import Judge
from reward_score.judge.gate import lacks_content
from reward_score.judge.reply import JudgeError
from reward_score.normalise import clean, normalise
from reward_score.refusals import stated_refusal
from reward_score.verdict import Verdict, wrong

# Longer answers are wrong.
MAX_CHARACTERS = 8000
_SENTENCE_END = re.compile(r"[.;!?]\s+|\n")


class Item(BaseModel):
    """One item of a checklist, such as {"statement": "The dose is 5 mg", "number": 5, "weight": 2}.

    At most one of `number`, `regex` and `aliases` is set, and then a rule decides the item: whether a sentence of the
    answer has that number, matches, or has one of these wordings. A sentence that also denies or hedges is left to
    the judge.

    Attributes:
        statement: What the judge is asked: whether this is true of the answer.
        weight: Its part of the similarity.
        must_not: The answer is wrong if the statement is true of it; the weight then has no meaning.
        number: A number.
        regex: A regular expression of Python, without regard to case.
        aliases: Wordings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    statement: str = Field(min_length=1)
    weight: float = Field(default=1.0, gt=0)
    must_not: bool = False
    number: float | None = None
    regex: str | None = None
    aliases: tuple[str, ...] | None = None

    @field_validator("regex")
    @classmethod
    def _compiles(cls, regex: str | None) -> str | None:
        if regex is not None:
            try:
                re.compile(regex)
            except re.error as error:
                raise ValueError(f"no regular expression: {error}") from None
        return regex

    @model_validator(mode="after")
    def _has_one_rule(self) -> Self:
        if sum(rule is not None for rule in (self.number, self.regex, self.aliases)) > 1:
            raise ValueError("set only one of number, regex and aliases")
        return self

    @property
    def has_rule(self) -> bool:
        """Whether a rule decides this item in the first place."""
        return any(rule is not None for rule in (self.number, self.regex, self.aliases))


def read_checklist(given: Any) -> tuple[Item, ...]:
    """Return a row's checklist, a list of items; () if None or empty. Keys with the value None are ignored.

    Messages quote numbers alone: a text may be of a patient.

    Raises:
        ValueError: The value is something else, an item is invalid, or every item is a must-not.

    Example:
        >>> read_checklist([{"statement": "Names the dose", "weight": -1}])
        Traceback (most recent call last):
        ...
        ValueError: checklist, item 0: weight is -1: Input should be greater than 0
    """
    if given is None:
        return ()
    if isinstance(given, (str, Mapping)) or not isinstance(given, Iterable):
        raise ValueError(f"checklist must be a list of items, and is of type {type(given).__name__}")
    items = []
    for number, values in enumerate(given):
        if not isinstance(values, Mapping):
            raise ValueError(f"checklist, item {number} must have named keys, and is of type {type(values).__name__}")
        try:
            items.append(Item.model_validate({key: value for key, value in values.items() if value is not None}))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            value = f" is {first['input']!r}" if isinstance(first["input"], (int, float)) else ""
            about = f"{key}{value}: " if key else ""
            raise ValueError(f"checklist, item {number}: {about}{first['msg']}") from None
    if items and all(item.must_not for item in items):
        raise ValueError("checklist has must-nots only: add an item that a right answer fulfils")
    return tuple(items)


def decided_by_rule(item: Item, answer: str) -> bool | None:
    """Return whether an item's statement is true of an answer, where a rule decides that, else None.

    Example:
        >>> item = Item(statement="Advises against aspirin", aliases=("avoid aspirin",))
        >>> [decided_by_rule(item, text) for text in ("Avoid aspirin.", "Rest.", "Possibly avoid aspirin.")]
        [True, False, None]
    """
    if not item.has_rule:
        return None
    found = [sentence for sentence in _SENTENCE_END.split(answer) if _is_in(item, sentence)]
    wanted = clean(" ".join((item.statement, *(item.aliases or ()))))
    if any(not stated_refusal(clean(sentence), wanted) for sentence in found):
        return True
    return None if found else False


def _is_in(item: Item, sentence: str) -> bool:
    if item.regex is not None:
        return re.search(item.regex, sentence, re.IGNORECASE) is not None
    tokens = normalise(sentence).tokens
    if item.number is not None:
        return any(_as_number(token) == item.number for token in tokens)
    wordings = [normalise(alias).tokens for alias in item.aliases or ()]
    return any(_has_run(tokens, wording) for wording in wordings if wording)


def _as_number(token: str) -> float | None:
    try:
        return float(token.replace(",", ""))
    except ValueError:  # a word
        return None


def _has_run(tokens: Sequence[str], run: Sequence[str]) -> bool:
    return any(tuple(tokens[start : start + len(run)]) == tuple(run) for start in range(len(tokens) - len(run) + 1))


async def judge_checklist(
    judge: Judge, question: str, answer: str, items: Sequence[Item], may_ask: bool = True
) -> tuple[Verdict, bool]:
    """Judge an answer by a checklist.

    The similarity is the weight of the items that are true of the answer over the weight of all, must-nots left out. It
    is 0 if a must-not is true, and the answer is right if it is 1.

    Args:
        judge: The judge.
        question: The question.
        answer: The answer.
        items: The checklist.
        may_ask: Whether the judge may see the answer.

    Returns:
        The verdict, and whether the judge was asked.

    Raises:
        JudgeError: The judge gave no verdict on an item, or may not see it.
    """
    said = " ".join(answer.split())
    if lacks_content(answer):
        return wrong(said, "no content word"), False
    if len(answer) > MAX_CHARACTERS:
        return wrong(said[:1000], f"longer than {MAX_CHARACTERS} characters"), False
    by_rule = await asyncio.to_thread(lambda: [decided_by_rule(item, answer) for item in items])
    if None in by_rule and not may_ask:
        raise JudgeError("not sent", "the row may not leave this machine")

    async def is_true(item: Item, decided: bool | None) -> bool:
        return (await judge.holds(question, item.statement, answer)).yes if decided is None else decided

    true = await asyncio.gather(*(is_true(item, decided) for item, decided in zip(items, by_rule, strict=True)))
    return _verdict(said, items, true), None in by_rule


def _verdict(said: str, items: Sequence[Item], true: Sequence[bool]) -> Verdict:
    for item, holds in zip(items, true, strict=True):
        if item.must_not and holds:
            return wrong(said, f"must not: {item.statement[:80]}")
    wanted = [(item, holds) for item, holds in zip(items, true, strict=True) if not item.must_not]
    lacking = [item for item, holds in wanted if not holds]
    reason = f"{len(wanted) - len(lacking)} of {len(wanted)} items"
    if not lacking:
        return Verdict(True, 1.0, said, reason)
    share = sum(item.weight for item, holds in wanted if holds) / sum(item.weight for item, _ in wanted)
    return Verdict(False, share, said, f"{reason}; not: {lacking[0].statement[:80]}")
