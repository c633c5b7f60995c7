"""Answers that must be wrong for any question: obvious corruptions of a gold answer."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from reward_score.calculation import read_gold
from reward_score.multiple_choice import read_options
from reward_score.open_ended import is_passage
from reward_score.registry import find_source

_NUMBER = re.compile(r"(?<![\w.,])\d{1,9}(?![\w.,]*\d)")
_OTHER = "another thing"


def corruptions(data_source: str, gold: str, spec: Mapping[str, Any]) -> dict[str, str]:
    """Return corruptions of a gold answer by kind: another option or number, a denial, a hedge.

    Args:
        data_source: A registered name.
        gold: A gold answer that its own scorer accepts.
        spec: The row's extra_info.

    Returns:
        kind -> answer. Empty for passages, which are scored by word overlap, and for the answer types of other
        packages.

    Raises:
        ValueError: The data source is unknown, or the gold answer can't be read.

    Example:
        >>> corruptions("MedQA", "A", {"options": {"A": "aspirin", "B": "heparin"}})
        {'a denial': 'not A', 'another option': 'B', 'a hedge': 'A or B'}
    """
    source, answer_type = find_source(data_source)
    spec = {**source.spec, **{key: value for key, value in spec.items() if value is not None}}
    if answer_type.name == "multiple_choice":
        return _of_choice(gold, spec)
    if answer_type.name == "calculation":
        return _of_calculation(gold, spec)
    if answer_type.name == "open_ended" and not is_passage(gold):
        found = {"a denial": f"not {gold}", "a hedge": f"{gold} or {_OTHER}", "a rejection": f"{gold} is excluded"}
        number = _NUMBER.search(gold)
        if number:
            other = str(int(number[0]) + 1)
            found["another number"] = gold[: number.start()] + other + gold[number.end() :]
        return found
    return {}


def _of_choice(gold: str, spec: Mapping[str, Any]) -> dict[str, str]:
    found = {"a denial": f"not {gold}"}
    other = next((letter for letter in read_options(spec.get("options")) if letter != gold.strip().upper()), None)
    if other:
        found |= {"another option": other, "a hedge": f"{gold} or {other}"}
    return found


def _of_calculation(gold: str, spec: Mapping[str, Any]) -> dict[str, str]:
    unit = spec.get("unit")
    expected = read_gold(gold, str(spec.get("answer_type") or ""), unit if isinstance(unit, str) else "")
    if expected.kind == "date":
        other = f"{expected.value + timedelta(days=1):%m/%d/%Y}"  # type: ignore[operator]
    elif expected.kind == "duration":
        weeks, days = expected.value  # type: ignore[misc]
        other = f"{weeks + 1} weeks {days} days"
    else:
        other = f"{2 * abs(expected.value) + 7:.6g}"  # type: ignore[arg-type]
    kind = f"another {expected.kind}" if expected.kind in ("date", "duration") else "another number"
    return {"a denial": f"not {gold}", kind: other, "a hedge": f"{gold} or {other}"}
