"""Computes metrics from samples: per data source, per answer type and overall."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from reward_score.verdict import lacks_verdict
from verl_medu1.evaluate.budget_curve import by_budget, is_kept
from verl_medu1.evaluate.checklists import checklist_figures
from verl_medu1.evaluate.lm_eval_ids import PUBLIC
from verl_medu1.evaluate.questions import AS_PREPARED
from verl_medu1.evaluate.robustness import robustness
from verl_medu1.evaluate.statistics import Difference, Estimate, paired_difference, pass_at_k, share
from verl_medu1.evaluate.votes import majority
from verl_medu1.run_folder.evaluations import Sample

Figures = dict[str, Any]
QuestionKey = tuple[str, str]
GROUPINGS = ("answer_type", "data_source")


def _column(samples: Iterable[Sample], name: str) -> np.ndarray:
    return np.array([sample[name] for sample in samples], dtype=float)


def question_key(sample: Sample) -> QuestionKey:
    """Return the unique key of a question: a `row_id` is unique only within its data source."""
    return sample["data_source"], sample["row_id"]


def per_question(samples: Iterable[Sample], name: str) -> dict[QuestionKey, float]:
    """Average one value over the samples of each question.

    Example:
        >>> row = {"data_source": "MedQA", "row_id": "a"}
        >>> per_question([row | {"acc": 1.0}, row | {"acc": 0.0}], "acc")
        {('MedQA', 'a'): 0.5}
    """
    values: dict[QuestionKey, list[float]] = defaultdict(list)
    for sample in samples:
        values[question_key(sample)].append(float(sample[name]))
    return {key: float(np.mean(numbers)) for key, numbers in values.items()}


def _with_interval(name: str, estimate: Estimate) -> Figures:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def figures(samples: Sequence[Sample]) -> Figures:
    """Compute the metrics of one group of samples.

    Args:
        samples: rows of samples.jsonl, at least one.

    Returns:
        `questions`, `samples`; `left_out`, samples without a verdict, which are in no other figure;
        `accuracy` with `accuracy_low` and `accuracy_high` (95 %, over questions);
        `format`, `truncated` and `errors` (shares of samples); `reward` (mean); `length` (mean tokens) and
        `length_p95`; `budget_samples`, and over those `counted_tokens` (mean tokens that the budget counts),
        `budget_distance` (mean tokens), `over_budget` and `budget_kept` (shares), all None if no sample has a budget;
        `k`, the largest number of samples of any question; if `k` is at least 2, `pass_at` (k -> share with its
        interval) and `majority` with its interval, over the questions with k samples.

    Raises:
        ValueError: no sample has a verdict.

    Example:
        >>> sample = {"data_source": "MedQA", "row_id": "a", "acc": 1, "format": 1, "score": 1, "error": 0, "pred": "A",
        ...           "length": 12, "truncated": 0, "counted_tokens": 12, "budget_mode": "max",
        ...           "budget_tokens": 10, "budget_distance": 2}
        >>> figures([sample])["budget_distance"]
        2.0
    """
    given, samples = samples, with_verdict(samples)
    number = len(given)
    if not samples:
        raise ValueError(f"none of {number} samples has a verdict; the first has none because of: {given[0]['reason']}")
    by_question: dict[QuestionKey, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_question[question_key(sample)].append(sample)
    k = max(map(len, by_question.values()))
    length = _column(samples, "length")
    with_budget = [sample for sample in samples if sample["budget_mode"] != "none"]
    counted = distance = over = kept = None
    if with_budget:
        counted = float(_column(with_budget, "counted_tokens").mean())
        distance = float(_column(with_budget, "budget_distance").mean())
        over = float((_column(with_budget, "counted_tokens") > _column(with_budget, "budget_tokens")).mean())
        kept = float(np.mean([is_kept(sample) for sample in with_budget]))
    return {
        "questions": len(by_question),
        "samples": len(samples),
        "left_out": number - len(samples),
        "k": k,
        **_with_interval("accuracy", share(list(per_question(samples, "acc").values()), k)),
        **(_of_several(list(by_question.values()), k) if k > 1 else {}),
        "format": float(_column(samples, "format").mean()),
        "reward": float(_column(samples, "score").mean()),
        "length": float(length.mean()),
        "length_p95": float(np.percentile(length, 95)),
        "budget_samples": len(with_budget),
        "counted_tokens": counted,
        "budget_distance": distance,
        "over_budget": over,
        "budget_kept": kept,
        "truncated": float(_column(samples, "truncated").mean()),
        "errors": float(_column(samples, "error").mean()),
    }


def _of_several(by_question: Sequence[Sequence[Sample]], k: int) -> Figures:
    """Compute pass@1, 2, 4, ... up to k, and the majority vote over k samples, of the questions that have them."""
    groups = [group for group in by_question if len(group) == k]
    right = np.array([sum(sample["acc"] > 0 for sample in group) for group in groups])
    numbers = sorted({*(2**power for power in range(k.bit_length())), k})
    passes = {str(number): share(pass_at_k(right, k, number), k)._asdict() for number in numbers}
    return {"pass_at": passes, **_with_interval("majority", share([majority(group) for group in groups]))}


def group_by(samples: Iterable[Sample], key: str) -> dict[str, list[Sample]]:
    """Group the samples by their value of `key`, sorted by that value."""
    groups: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[str(sample[key])].append(sample)
    return dict(sorted(groups.items()))


def with_verdict(samples: Iterable[Sample]) -> list[Sample]:
    """Return the samples without those that have no verdict of the judge, or no reply of the reader.

    Example:
        >>> with_verdict([{"acc": 1.0}, {"acc": 0.0, "judge_failed": 1.0}])
        [{'acc': 1.0}]
    """
    return [sample for sample in samples if not lacks_verdict(sample)]


def as_prepared(samples: Iterable[Sample]) -> list[Sample]:
    """Return the samples of the questions as prepared, without those in other formats."""
    return [sample for sample in samples if sample["asked_as"] == AS_PREPARED]


def summarize(samples: Sequence[Sample]) -> dict[str, Any]:
    """Compute `figures` over all samples, per answer type and per data source; groups without a verdict are left out.

    Returns:
        `overall` (figures), `answer_type` and `data_source` (figures by name). A data source also has `lm_eval` (its
        lm-evaluation-harness task, or None), `by_budget` (the groups of `verl_medu1.evaluate.budget_curve.by_budget`
        with their figures) and `robustness` (see `verl_medu1.evaluate.robustness`). `checklist` is that of
        `verl_medu1.evaluate.checklists`.

    Raises:
        ValueError: there are no samples, or none has a verdict.
    """
    prepared = as_prepared(samples)
    if not with_verdict(prepared):
        raise ValueError("There are no samples to summarise; no question has an answer with a verdict.")
    by_group = {
        key: {name: figures(group) for name, group in group_by(prepared, key).items() if with_verdict(group)}
        for key in GROUPINGS
    }
    of_source = group_by(samples, "data_source")
    for name, found in by_group["data_source"].items():
        found |= {
            "lm_eval": PUBLIC.get(name),
            "by_budget": [
                label | figures(chosen) for label, chosen in by_budget(with_verdict(as_prepared(of_source[name])))
            ],
            "robustness": robustness(of_source[name]),
        }
    return {"overall": figures(prepared), **by_group, "checklist": checklist_figures(prepared)}


def judged_differently(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """Return a sentence if two evaluations were judged by different judges, or one by rules alone; else None.

    Args:
        before, after: their summaries.

    Example:
        >>> judged_differently({"judge": None}, {"judge": {"model": "m", "threshold": 0.5, "log_probs": True}})
        'One was judged by rules alone, and the other by m, threshold 0.5; evaluate both with the same --judge.'
    """
    judges = [summary.get("judge") for summary in (before, after)]
    words = [_words(judge) if judge else "rules alone" for judge in judges]
    if words[0] == words[1]:
        return None
    return f"One was judged by {words[0]}, and the other by {words[1]}; evaluate both with the same --judge."


def _words(judge: Mapping[str, Any]) -> str:
    asked = ", asked always" if judge.get("when") == "always" else ""  # a summary from before `when` lacks it
    log_probs = "" if judge["log_probs"] else ", without log-probs"
    return f"{judge['model']}, threshold {judge['threshold']:g}{asked}{log_probs}"


def accuracy_differences(
    before: Sequence[Sample], after: Sequence[Sample], key: str = "answer_type"
) -> dict[str, Difference]:
    """Compare the accuracy of two evaluations (after minus before) on the questions that both answered.

    Args:
        before, after: samples of two evaluations.
        key: one of `GROUPINGS`.

    Returns:
        Differences by answer type or data source, and "overall"; groups without a common question are left out.

    Raises:
        ValueError: the gold answer of a question differs between the evaluations, so it is not the same question.

    Example:
        >>> row = {"data_source": "MedQA", "row_id": "a", "answer_type": "multiple_choice", "asked_as": "as_prepared",
        ...        "ground_truth": "B"}
        >>> accuracy_differences([row | {"acc": 0.0}], [row | {"acc": 1.0}])["overall"].value
        1.0
    """
    before, after = with_verdict(as_prepared(before)), with_verdict(as_prepared(after))
    old, new = per_question(before, "acc"), per_question(after, "acc")
    gold = {question_key(sample): sample["ground_truth"] for sample in before}
    for sample in after:
        if gold.get(question_key(sample), sample["ground_truth"]) != sample["ground_truth"]:
            raise ValueError(
                f"Row {sample['row_id']!r} has different gold answers in the two evaluations; "
                "evaluate both on the same --data."
            )
    group_of = {question_key(sample): str(sample[key]) for sample in after}
    common = [question for question in new if question in old]
    groups = {
        name: [question for question in common if group_of[question] == name]
        for name in sorted({group_of[question] for question in common})
    }
    if common:
        groups["overall"] = common
    return {
        name: paired_difference([old[question] for question in questions], [new[question] for question in questions])
        for name, questions in groups.items()
    }
