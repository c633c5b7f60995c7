"""Selects the samples that a report shows, by fixed rules rather than by hand, and shortens them."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reward_score import parse_response
from verl_medu1.evaluate.summary import as_prepared, group_by, question_key, with_verdict
from verl_medu1.run_folder.evaluations import Sample, read_jsonl

MAX_CHARACTERS = 4000  # of each text shown
MAX_STEPS = 4  # side by side
MAX_SOURCES = 8
# (right before, right after)
OUTCOME_NAMES = {
    (False, True): "wrong → right",
    (True, False): "right → wrong",
    (True, True): "right → right",
    (False, False): "wrong → wrong",
}


@dataclass(frozen=True)
class Shown:
    """One response, ready for the page. Texts are plain: the template escapes them."""

    turns: list[tuple[str, str]]  # what was said before the model's last turn: by whom, and what
    reasoning: str
    answer: str  # the whole response if it is not well-formed
    problem: str  # why the response is not well-formed, "" if it is
    right: bool
    why: str  # the verdict in words
    facts: list[tuple[str, str]]


@dataclass(frozen=True)
class Pair:
    """The same question before and after training."""

    row_id: str
    data_source: str
    question: str
    gold: str
    budget: str
    before: Shown
    after: Shown


@dataclass(frozen=True)
class Outcomes:
    """Number of questions of an answer type per outcome ("wrong → right", ...), with the first question of each."""

    answer_type: str
    counts: dict[str, int]
    first: dict[str, Pair]


@dataclass(frozen=True)
class Column:
    """One response in a row of samples, with its step and question."""

    step: int
    row_id: str  # "" for dumps of a run without our reward manager
    question: str
    gold: str
    budget: str
    response: Shown


@dataclass(frozen=True)
class AcrossSteps:
    """One sample of a data source at each of several steps; `same_question` if all have the same question."""

    data_source: str
    same_question: bool
    columns: list[Column]


def cut(text: str, limit: int = MAX_CHARACTERS) -> str:
    """Return the text, or its first `limit` characters and the number of characters left out.

    Example:
        >>> cut("abcdef", 4)
        'abcd … (2 more characters)'
    """
    return text if len(text) <= limit else f"{text[:limit]} … ({len(text) - limit:,} more characters)"


def budget_text(sample: Mapping[str, Any]) -> str:
    """Return the length budget in words; "" without a budget."""
    mode = sample.get("budget_mode", "none")
    words = {"exact": "exactly {:g} tokens", "max": "at most {:g} tokens"}
    if mode not in words:
        return ""
    of_what = " of reasoning" if sample.get("budget_counts") == "reasoning" else ""
    return words[mode].format(sample["budget_tokens"]) + of_what


def _facts(sample: Mapping[str, Any]) -> list[tuple[str, str]]:
    has_budget = sample.get("budget_mode", "none") != "none"
    values = {
        "reward": sample.get("score"),
        "tokens": sample.get("length"),
        "tokens of reasoning": sample.get("counted_tokens") if sample.get("budget_counts") == "reasoning" else None,
        "from budget": sample.get("budget_distance") if has_budget else None,
        "cut off": "by the limit of tokens" if sample.get("truncated") else None,
    }
    texts = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in values.items()}
    return [(name, cut(text, 200)) for name, text in texts.items() if values[name] not in (None, "")]


def explain(sample: Mapping[str, Any]) -> str:
    """Put the verdict in words: the answer as read, its verdict, and why a right answer earned nothing.

    Example:
        >>> explain({"acc": 1.0, "format": 0.0, "score": 0.0, "pred": "B", "reason": "option letter"})
        'Read as “B”: right (option letter). The format was not kept: the reward is 0.'
    """
    reason = cut(str(sample.get("reason") or ""), 200)
    if sample.get("error"):
        return f"The scorer could not judge this: {reason}."
    right = float(sample.get("acc", 0)) > 0
    if not sample.get("pred"):
        return f"No answer was read: {reason}." if reason else "No answer was read."
    why = f" ({reason})" if reason else ""
    verdict = f"Read as “{cut(str(sample['pred']), 200)}”: {'right' if right else 'wrong'}{why}."
    if right and not sample.get("format", 1.0):
        verdict += f" The format was not kept: the reward is {sample.get('score', 0):g}."
    return verdict


def show(sample: Mapping[str, Any], response: str) -> Shown:
    """Split a response, and collect its verdict and other facts.

    Args:
        sample: a row of samples.jsonl or of a rollout dump; missing facts are left out.
        response: the text of the response; of an episode, which has a `dialogue`, the model's last turn is shown as it.
    """
    *turns, (_, response) = json.loads(sample.get("dialogue") or "[]") or [("assistant", response)]
    parsed = parse_response(response)
    return Shown(
        turns=[("model" if role == "assistant" else "environment", cut(text)) for role, text in turns],
        reasoning=cut(parsed.reasoning) if parsed.well_formed else "",
        answer=cut(parsed.answer if parsed.well_formed and parsed.answer else response),
        problem=parsed.problem,
        right=float(sample.get("acc", 0)) > 0,
        why=explain(sample),
        facts=_facts(sample),
    )


def _question_text(prompt: Sequence[Mapping[str, str]]) -> str:
    return "\n\n".join(message["content"] for message in prompt if message["role"] != "system")


def outcomes(before: Sequence[Sample], after: Sequence[Sample]) -> list[Outcomes]:
    """Count, per answer type, how questions moved between right and wrong, with the first question of each outcome.

    Only the first sample of each question as prepared counts. Questions that only one evaluation answered, or
    that the judge gave no verdict on, are left out.
    """
    first_before, first_after = (
        [sample for sample in with_verdict(as_prepared(samples)) if sample["sample"] == 0]
        for samples in (before, after)
    )
    old = {question_key(sample): sample for sample in first_before}
    new = [sample for sample in first_after if question_key(sample) in old]
    found = []
    for answer_type, samples in group_by(new, "answer_type").items():
        moves: dict[str, list[Pair]] = {name: [] for name in OUTCOME_NAMES.values()}
        counts = dict.fromkeys(moves, 0)
        for sample in samples:
            earlier = old[question_key(sample)]
            name = OUTCOME_NAMES[earlier["acc"] > 0, sample["acc"] > 0]
            counts[name] += 1
            if not moves[name]:
                moves[name].append(_pair(earlier, sample))
        found.append(Outcomes(answer_type, counts, {name: pairs[0] for name, pairs in moves.items() if pairs}))
    return found


def _pair(before: Sample, after: Sample) -> Pair:
    return Pair(
        row_id=after["row_id"],
        data_source=after["data_source"],
        question=cut(_question_text(after["prompt"])),
        gold=cut(str(after["ground_truth"]), 500),
        budget=budget_text(after),
        before=show(before, before["response"]),
        after=show(after, after["response"]),
    )


def spread(steps: Sequence[int], number: int = MAX_STEPS) -> list[int]:
    """Return at most `number` of the steps, evenly spaced, including the first and the last.

    Example:
        >>> spread([1, 2, 3, 4, 5, 6, 7, 8, 9], 3)
        [1, 5, 9]
    """
    if len(steps) <= number:
        return list(steps)
    return [steps[round(i * (len(steps) - 1) / (number - 1))] for i in range(number)]


def across_steps(dumps: Mapping[int, Path]) -> list[AcrossSteps]:
    """Select, for each data source, one sample at each of at most `MAX_STEPS` steps, side by side.

    The question is the one that most of these steps have, or the first in the file if several do. Validation dumps
    have the same questions at all steps; rollout dumps may not.

    Args:
        dumps: verl's sample dumps by step; only the shown ones are read.
    """
    of_source: dict[str, dict[int, dict[str, dict[str, Any]]]] = {}
    for step in spread(list(dumps)):
        for row in read_jsonl(dumps[step]):
            by_step = of_source.setdefault(str(row.get("data_source", "all sources")), {})
            by_step.setdefault(step, {}).setdefault(row["input"], row)
    return [_row(source, by_step) for source, by_step in list(sorted(of_source.items()))[:MAX_SOURCES]]


def _row(source: str, by_step: Mapping[int, Mapping[str, Mapping[str, Any]]]) -> AcrossSteps:
    counts = Counter(question for of_step in by_step.values() for question in of_step)
    question, number = counts.most_common(1)[0]
    columns = []
    for step, of_step in by_step.items():
        sample = of_step.get(question) or next(iter(of_step.values()))
        columns.append(
            Column(
                step=step,
                row_id=str(sample.get("row_id", "")),
                question=cut(sample["input"]),
                gold=cut(str(sample.get("gts")), 500),
                budget=budget_text(sample),
                response=show(sample, sample["output"]),
            )
        )
    return AcrossSteps(source, number == len(by_step) > 1, columns)
