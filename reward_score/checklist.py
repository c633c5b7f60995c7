"""A row's checklist: statements about the answer, those that rules decide, and how they become a verdict."""

import re
import re._parser as regex_parser  # type: ignore[import-not-found]
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from reward_score.item_results import ItemResult
from reward_score.normalise import clean, normalise
from reward_score.refusals import stated_refusal
from reward_score.text import plain
from reward_score.verdict import Verdict, wrong

# Longer answers are wrong.
MAX_CHARACTERS = 8000
# Where rules alone decide, so are answers of more than this many times the reference and this many characters.
MAX_RATIO = 2
FREE_CHARACTERS = 40
# A part of a regular expression may be repeated this often, with repeats inside.
MOST_REPEATS = 9
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
        example: For a must-not: an answer that does it, by which `medu1 validate` tests the item.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    statement: str = Field(min_length=1)
    weight: float = Field(default=1.0, gt=0)
    must_not: bool = False
    number: float | None = None
    regex: str | None = None
    aliases: tuple[str, ...] | None = None
    example: str | None = None

    @field_validator("regex")
    @classmethod
    def _compiles(cls, regex: str | None) -> str | None:
        if regex is not None:
            try:
                re.compile(regex)
            except re.error as error:
                raise ValueError(f"no regular expression: {error}") from None
            parsed = regex_parser.parse(regex)
            if _may_backtrack(parsed):
                raise ValueError("a repeated part repeats or has alternatives, which can take for ever; write it flat")
            if _long_repeats(parsed) > 1:
                raise ValueError(
                    f"several parts repeat more than {MOST_REPEATS} times, which takes minutes on a long answer; keep "
                    "one, such as avoid.*aspirin, or write several items"
                )
        return regex

    @model_validator(mode="after")
    def _has_one_rule(self) -> Self:
        if sum(rule is not None for rule in (self.number, self.regex, self.aliases)) > 1:
            raise ValueError("set only one of number, regex and aliases")
        if self.example is not None and not self.must_not:
            raise ValueError("example is for a must-not")
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


def _may_backtrack(parsed: Any, in_repeat: bool = False) -> bool:
    """Return whether a part that is repeated without a bound holds a repeat or alternatives."""
    for name, value in parsed:
        if in_repeat and name in (regex_parser.MAX_REPEAT, regex_parser.MIN_REPEAT, regex_parser.BRANCH):
            return True
        repeats = name in (regex_parser.MAX_REPEAT, regex_parser.MIN_REPEAT)
        inside = in_repeat or (repeats and value[1] > MOST_REPEATS)
        if any(_may_backtrack(part, inside) for part in _parts(value)):
            return True
    return False


def _long_repeats(parsed: Any) -> int:
    """Return how many parts may repeat more than `MOST_REPEATS` times."""
    repeats = (regex_parser.MAX_REPEAT, regex_parser.MIN_REPEAT)
    return sum(
        (name in repeats and value[1] > MOST_REPEATS) + sum(map(_long_repeats, _parts(value))) for name, value in parsed
    )


def _parts(value: Any) -> Iterable[Any]:
    """Yield the parsed patterns in an operation's value, however they are nested."""
    if isinstance(value, regex_parser.SubPattern):
        yield value
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _parts(one)


def decided_by_rule(item: Item, answer: str) -> bool | None:
    """Return whether an item's statement is true of an answer, where a rule decides that, else None.

    Example:
        >>> item = Item(statement="Advises against aspirin", aliases=("avoid aspirin",))
        >>> [decided_by_rule(item, text) for text in ("Avoid aspirin.", "Rest.", "Possibly avoid aspirin.")]
        [True, False, None]
    """
    if not item.has_rule:
        return None
    refusals = _refusals(item, answer)
    return True if "" in refusals else None if refusals else False


def _refusals(item: Item, answer: str) -> list[str]:
    """Return for each sentence that an item's rule finds the denial or hedge in it, "" if it has none."""
    found = [sentence for sentence in _SENTENCE_END.split(answer) if _is_in(item, sentence)]
    wanted = clean(" ".join((item.statement, *(item.aliases or ()))))
    return [stated_refusal(clean(sentence), wanted) for sentence in found]


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


def refused(answer: str, items: Sequence[Item]) -> str:
    """Return why an answer is worth nothing whatever its items are, and "" if it isn't.

    One that has the statement of a must-not word for word is a copy of the list: no patient is told "Recommends
    aspirin".

    Example:
        >>> items = (Item(statement="Says rest", aliases=("rest",)), Item(statement="Advises aspirin", must_not=True))
        >>> refused("Says rest. Advises aspirin.", items)
        'a copy of the checklist'
    """
    if len(answer) > MAX_CHARACTERS:
        return f"longer than {MAX_CHARACTERS} characters"
    tokens = normalise(answer).tokens
    if any(item.must_not and _has_run(tokens, normalise(item.statement).tokens) for item in items):
        return "a copy of the checklist"
    return ""


def judge_by_rules(answer: str, gold: str, items: Sequence[Item]) -> Verdict:
    """Judge an answer by a checklist of which every item has a rule.

    What is only denied or hedged is not said. A must-not that is hedged is done all the same. An answer of more than
    `MAX_RATIO` times the reference and `FREE_CHARACTERS` is wrong: it has room for the advice for everything. So is one
    that says a sentence twice.

    Args:
        answer: The answer.
        gold: The reference, for its length.
        items: The checklist; each item has a rule.

    Example:
        >>> items = (Item(statement="Says rest", aliases=("rest",)),
        ...          Item(statement="Advises aspirin", aliases=("aspirin",), must_not=True))
        >>> [judge_by_rules(text, "Rest.", items).similarity
        ...  for text in ("Rest. Do not take aspirin.", "Rest. Take aspirin.", "Avoid rest.")]
        [1.0, 0.0, 0.0]
    """
    said = " ".join(answer.split())
    reason = refused(answer, items)
    if not reason and len(plain(answer)) > MAX_RATIO * len(gold) + FREE_CHARACTERS:
        reason = f"more than {MAX_RATIO} times as long as the reference"
    sentences = [said for sentence in _SENTENCE_END.split(answer) if (said := normalise(sentence).joined)]
    if not reason and len(set(sentences)) < len(sentences):
        reason = "a sentence is repeated"
    if reason:
        return wrong(said[:1000], reason)
    return verdict_of(said, items, [_is_true(item, answer) for item in items])


def _is_true(item: Item, answer: str) -> bool:
    decided = decided_by_rule(item, answer)
    if decided is not None:
        return decided
    return item.must_not and any("hedge" in reason for reason in _refusals(item, answer))


def verdict_of(said: str, items: Sequence[Item], true: Sequence[bool], audits: Sequence[str] | None = None) -> Verdict:
    """Return the verdict on an answer.

    The similarity is the weight of the items that are true of it over the weight of all, must-nots left out. It is 0 if
    a must-not is true, and the answer is right if it is 1.

    Args:
        said: The answer as it was read.
        items: The checklist.
        true: For each item, whether its statement is true of the answer.
        audits: For each item, `ItemResult.audit`; None if no item was audited.
    """
    results = tuple(
        ItemResult(item.statement, holds, item.must_not, audit)
        for item, holds, audit in zip(items, true, audits or [""] * len(items), strict=True)
    )
    for result in results:
        if result.must_not and result.true:
            return replace(wrong(said, f"must not: {result.statement[:80]}"), items=results)
    wanted = [(item, holds) for item, holds in zip(items, true, strict=True) if not item.must_not]
    lacking = [item for item, holds in wanted if not holds]
    reason = f"{len(wanted) - len(lacking)} of {len(wanted)} items"
    if not lacking:
        return Verdict(True, 1.0, said, reason, items=results)
    share = sum(item.weight for item, holds in wanted if holds) / sum(item.weight for item, _ in wanted)
    return Verdict(False, share, said, f"{reason}; not: {lacking[0].statement[:80]}", items=results)
