"""Answers that must be wrong for any question: obvious corruptions of a gold answer, by kind."""

import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from reward_score.calculation import read_gold
from reward_score.multiple_choice import read_options
from reward_score.normalise import fold
from reward_score.open_ended import is_passage
from reward_score.refusals import opposites
from reward_score.registry import find_source
from reward_score.text import is_question

_NUMBER = re.compile(r"(?<![\w.,])\d{1,9}(?![\w.,]*\d)")
_WORD = re.compile(r"[A-Za-z]{3,}")
_OTHER = "another thing"
# Hedges and denials of any answer, by kind.
_STATED = {"a denial": "not {}", "a hedge": "{} or {}", "a question": "{}?", "a rejection": "{} is excluded"}


def corruptions(data_source: str, gold: str, spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return corruptions of a gold answer as (kind, answer) pairs: others like it, denials and hedges.

    Args:
        data_source: A registered name.
        gold: A gold answer that its own scorer accepts.
        spec: The row's extra_info.

    Returns:
        (kind, answer) pairs. For a checklist that rules decide: must-nots by their examples, and the list itself; none
        for one that needs a judge. Empty for passages, which are scored by word overlap, and for the answer types of
        other packages.

    Raises:
        ValueError: The data source is unknown, or the gold answer can't be read.

    Example:
        >>> corruptions("MedQA", "A", {"options": {"A": "aspirin", "B": "heparin"}})[:2]
        [('another option', 'B'), ("another option's text", 'heparin')]
    """
    source, answer_type = find_source(data_source)
    spec = {**source.spec, **{key: value for key, value in spec.items() if value is not None}}
    if spec.get("checklist"):
        return list(_of_checklist(gold, spec))
    if answer_type.name == "multiple_choice":
        others, instead = list(_of_choice(gold, spec)), "another option"
    elif answer_type.name == "calculation":
        others, instead = list(_of_calculation(gold, spec)), "another value"
    elif answer_type.name == "open_ended" and not is_passage(gold):
        others, instead = list(_of_short_answer(gold)), ""
    else:
        return []
    other = next((answer for kind, answer in others if kind == instead), _OTHER)
    others += [(kind, form.format(gold, other)) for kind, form in _STATED.items()]
    # Where a right answer asks, a question mark is not a corruption.
    asks = any(map(is_question, [gold, *read_options(spec.get("options")).values()]))
    return [(kind, answer) for kind, answer in others if not (asks and kind == "a question")]


def _of_checklist(gold: str, spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    from reward_score.checklist import read_checklist  # needs pydantic

    items = read_checklist(spec["checklist"])
    if not all(item.has_rule for item in items):
        return
    for item in items:
        if item.example is not None:
            yield "a must-not", f"{gold} {item.example}"
    if any(item.must_not for item in items):
        yield "the checklist itself", " ".join(f"{item.statement}." for item in items)
    yield "a denial", f"Not: {gold.replace('.', ', not')}"


def _of_choice(gold: str, spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    right = gold.strip().upper()
    for letter, text in read_options(spec.get("options")).items():
        if letter != right:
            yield "another option", letter
            if text.strip().upper() != right:  # a letter on its own is always read as the option's letter
                yield "another option's text", text
            yield "the letter with another text", f"{right}. {text}"
            yield "two options", f"{right} and {letter}"


def _of_calculation(gold: str, spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    unit = spec.get("unit")
    expected = read_gold(gold, str(spec.get("answer_type") or ""), unit if isinstance(unit, str) else "")
    if isinstance(expected.value, date):
        for days in (1, -1, 7, 365):
            yield "another value", f"{expected.value + timedelta(days=days):%m/%d/%Y}"
        return
    if isinstance(expected.value, tuple):
        weeks, days = expected.value
        yield "another value", f"{weeks + 1} weeks {days} days"
        yield "another value", f"{weeks} weeks {days + 1} days"
        return
    value = expected.value
    yield "another value", f"{2 * abs(value) + 7:.6g}"
    if value:
        yield "ten times the value", f"{10 * value:.12g}"
        yield "the other sign", f"{-value:.12g}"
    if expected.unit:
        yield "another unit", f"{value:.12g} {'kg' if 'Hg' in expected.unit else 'mmHg'}"
    yield "a bound", f"less than {gold}"
    yield "a range", f"{value:.12g} to {2 * abs(value) + 7:.6g}"


def _of_short_answer(gold: str) -> Iterator[tuple[str, str]]:
    number = _NUMBER.search(gold)
    if number:
        yield "another number", gold[: number.start()] + str(int(number[0]) + 1) + gold[number.end() :]
    yield "something more", f"{gold} and {_OTHER}"
    for word in _WORD.finditer(gold):
        others = opposites().get(fold(word[0].casefold()))
        if others:
            yield "the opposite", gold[: word.start()] + min(others) + gold[word.end() :]
            return
