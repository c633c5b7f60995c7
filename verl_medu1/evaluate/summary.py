"""Samples become figures per data source, per answer type and over all."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from verl_medu1.evaluate.scoring import Sample
from verl_medu1.evaluate.statistics import Estimate, accuracy, paired_difference

Figures = dict[str, float | int | None]
QuestionKey = tuple[str, str]
GROUPINGS = ("answer_type", "data_source")


def _column(samples: Iterable[Sample], name: str) -> np.ndarray:
    return np.array([sample[name] for sample in samples], dtype=float)


def question_key(sample: Sample) -> QuestionKey:
    """What tells a question from all others: a `row_id` is unique within its data source only."""
    return sample["data_source"], sample["row_id"]


def per_question(samples: Iterable[Sample], name: str) -> dict[QuestionKey, float]:
    """Mean of one number over the samples of each question.

    Example:
        >>> row = {"data_source": "MedQA", "row_id": "a"}
        >>> per_question([row | {"acc": 1.0}, row | {"acc": 0.0}], "acc")
        {('MedQA', 'a'): 0.5}
    """
    values: dict[QuestionKey, list[float]] = defaultdict(list)
    for sample in samples:
        values[question_key(sample)].append(float(sample[name]))
    return {key: float(np.mean(numbers)) for key, numbers in values.items()}


def figures(samples: Sequence[Sample], seed: int = 0) -> Figures:
    """The figures of one group of samples.

    Args:
        samples: rows of samples.jsonl, at least one.
        seed: seed of the bootstrap.

    Returns:
        `questions`, `samples`; `accuracy` with `accuracy_low` and `accuracy_high` (95 %, over questions);
        `format`, `truncated` and `errors` (shares of samples); `reward` (mean); `length` (mean tokens) and
        `length_p95`; `budget_samples`, and over those `budget_distance` (mean tokens) and `over_budget` (share), both
        None when no sample has a budget.

    Example:
        >>> sample = {"data_source": "MedQA", "row_id": "a", "acc": 1, "format": 1, "score": 1, "error": 0,
        ...           "length": 12, "truncated": 0, "counted_tokens": 12, "budget_mode": "max",
        ...           "budget_tokens": 10, "budget_distance": 2}
        >>> figures([sample])["budget_distance"]
        2.0
    """
    estimate = accuracy(list(per_question(samples, "acc").values()), seed)
    length = _column(samples, "length")
    with_budget = [sample for sample in samples if sample["budget_mode"] != "none"]
    distance = over = None
    if with_budget:
        distance = float(_column(with_budget, "budget_distance").mean())
        over = float((_column(with_budget, "counted_tokens") > _column(with_budget, "budget_tokens")).mean())
    return {
        "questions": len({question_key(sample) for sample in samples}),
        "samples": len(samples),
        "accuracy": estimate.value,
        "accuracy_low": estimate.low,
        "accuracy_high": estimate.high,
        "format": float(_column(samples, "format").mean()),
        "reward": float(_column(samples, "score").mean()),
        "length": float(length.mean()),
        "length_p95": float(np.percentile(length, 95)),
        "budget_samples": len(with_budget),
        "budget_distance": distance,
        "over_budget": over,
        "truncated": float(_column(samples, "truncated").mean()),
        "errors": float(_column(samples, "error").mean()),
    }


def group_by(samples: Iterable[Sample], key: str) -> dict[str, list[Sample]]:
    """The samples of each value of `key`, sorted by that value."""
    groups: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[str(sample[key])].append(sample)
    return dict(sorted(groups.items()))


def summarize(samples: Sequence[Sample], seed: int = 0) -> dict[str, Any]:
    """`figures` over all samples, per answer type and per data source.

    Returns:
        `overall` (figures), `answer_type` and `data_source` (figures by name).

    Raises:
        ValueError: no samples.
    """
    if not samples:
        raise ValueError("There are no samples to summarise; the evaluation answered no question.")
    by_group = {
        key: {name: figures(group, seed) for name, group in group_by(samples, key).items()} for key in GROUPINGS
    }
    return {"overall": figures(samples, seed), **by_group}


def accuracy_differences(before: Sequence[Sample], after: Sequence[Sample], seed: int = 0) -> dict[str, Estimate]:
    """Accuracy after minus before, on the questions that both evaluations answered.

    Args:
        before, after: samples of two evaluations.
        seed: seed of the bootstrap.

    Returns:
        By answer type, and "overall"; groups without a common question are left out.

    Example:
        >>> row = {"data_source": "MedQA", "row_id": "a", "answer_type": "multiple_choice"}
        >>> accuracy_differences([row | {"acc": 0.0}], [row | {"acc": 1.0}])["overall"].value
        1.0
    """
    old, new = per_question(before, "acc"), per_question(after, "acc")
    type_of = {question_key(sample): str(sample["answer_type"]) for sample in after}
    common = [key for key in new if key in old]
    keys_of = {
        name: [key for key in common if type_of[key] == name] for name in sorted({type_of[key] for key in common})
    }
    if common:
        keys_of["overall"] = common
    return {
        name: paired_difference([old[key] for key in keys], [new[key] for key in keys], seed)
        for name, keys in keys_of.items()
    }
