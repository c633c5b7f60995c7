"""The entry point: takes a response and its gold answer, returns a reward with its components."""

import logging
import math
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from reward_score.item_results import write_items
from reward_score.reader import FACTS, reading_of, score_reading
from reward_score.registry import Source, find_source
from reward_score.response import TAGS, Response, parse_response
from reward_score.schemes import DEFAULT_SCHEME, Sample, find_scheme
from reward_score.verdict import Score, Verdict, wrong

_LOGGER = logging.getLogger("reward_score")
# Failing sources beyond this number share one counter, so that no input makes the counter grow without bound.
_MAX_COUNTED_SOURCES = 100
_OTHER_SOURCES = "(other sources)"
_errors: Counter[str] = Counter()
_errors_lock = threading.Lock()


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any] | None = None,
    *,
    scheme: str = DEFAULT_SCHEME,
    num_tokens: int | None = None,
    opinion: Verdict | None = None,
    **kwargs: Any,
) -> Score:
    """Score one response. Never raises: a row that can't be scored gets `error` 1.0 and `score` 0.0.

    Such rows are errors of the data or the configuration, and should not stop a training step: they are counted
    (`error_counts`), and the first of each data source is logged. Use `answer_type`, `check_gold` and `find_scheme` to
    find them before a run.

    Args:
        data_source: A registered name.
        solution_str: The response, without the prompt.
        ground_truth: The gold answer.
        extra_info: Optional: `options`, `lower_limit`, `upper_limit`, `safe_lower`, `safe_upper`, `unit`,
            `answer_type`, `question`, `budget_mode`, `budget_tokens`. All keys are optional; others are ignored.
        scheme: How the verdict becomes `score`; see `reward_score.schemes`.
        num_tokens: Response length in tokens, for schemes with a length term.
        opinion: A verdict that replaces the scorer's (`reward_score.judge`).
            If `extra_info` has a reader's replies (`reward_score.reader`), these are scored in place of the response,
            and `scheme`, `num_tokens` and `opinion` are not used.
        **kwargs: Ignored; training frameworks pass more than is needed here.

    Returns:
        The same keys for every input, see `Score`; floats are finite. With a reader `ReaderScore`, which has more.

    Example:
        >>> compute_score("MedCalc-Bench", "<think>48/1.8</think><answer>26.7 kg/m2</answer>", "26.6667")["acc"]
        1.0
    """
    if reading := reading_of(extra_info):
        row = {key: value for key, value in (extra_info or {}).items() if key != FACTS}
        return score_reading(reading, lambda reply: compute_score(data_source, reply, ground_truth, row))
    response, name = Response("", None, "not a text"), ""
    try:
        if not isinstance(solution_str, str):
            raise ValueError(f"solution_str must be a text, not {type(solution_str).__name__}")
        response = parse_response(solution_str)
        source, answer_type_ = find_source(data_source)
        name = answer_type_.name
        info = _spec(source, extra_info)
        gold = _gold_text(ground_truth)
        # Judge even without an answer, because this also checks the gold answer.
        verdict = answer_type_.judge(response.answer or "", gold, info)
        if not response.answer:
            verdict = wrong("", response.problem)
        elif opinion is not None:
            verdict = opinion
        reward = float(find_scheme(scheme)(Sample(response, verdict, info, num_tokens)))
        if not (math.isfinite(reward) and math.isfinite(verdict.similarity)):
            raise ValueError(f"scheme {scheme!r} or the scorer of {name} gives a number that is not finite")
        return _score(response, verdict, name, reward, error=0.0)
    except Exception as error:  # another package's scorer may raise anything: count and log it, never ignore it
        count_error(data_source, error)
        reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        return _score(response, wrong("", reason[:300]), name, 0.0, error=1.0)


def compute_scores(
    data_sources: Sequence[str],
    solution_strs: Sequence[str],
    ground_truths: Sequence[str],
    extra_infos: Sequence[Mapping[str, Any] | None] | None = None,
    **kwargs: Any,
) -> list[Score]:
    """Score a batch, in order; see `compute_score`.

    Raises:
        ValueError: The sequences differ in length.
    """
    infos = [None] * len(data_sources) if extra_infos is None else extra_infos
    rows = zip(data_sources, solution_strs, ground_truths, infos, strict=True)
    return [compute_score(source, solution, gold, info, **kwargs) for source, solution, gold, info in rows]


def answer_type(data_source: str) -> str:
    """Return the name of a data source's answer type.

    Raises:
        ValueError: The source is unknown; the message lists the known ones.
    """
    return find_source(data_source)[1].name


def check_gold(data_source: str, ground_truth: str, extra_info: Mapping[str, Any] | None = None) -> str | None:
    """Return why a gold answer would not get `acc` 1.0 from its own scorer; None if it does.

    Example:
        >>> check_gold("MedQA", "E", {"options": {"A": "yes", "B": "no"}})
        "ground_truth 'E' is not a letter of the options (A, B)"
    """
    try:
        source, answer_type_ = find_source(data_source)
        gold = _gold_text(ground_truth)
        verdict = answer_type_.judge(gold, gold, _spec(source, extra_info))
    except ValueError as error:
        return str(error)
    return None if verdict.correct else f"ground_truth {gold[:80]!r}, read as {verdict.pred[:80]!r}: {verdict.reason}"


def error_counts() -> dict[str, int]:
    """Return the number of rows of each data source that could not be scored in this process."""
    with _errors_lock:
        return dict(_errors)


def _score(response: Response, verdict: Verdict, name: str, reward: float, error: float) -> Score:
    return {
        "score": reward,
        "acc": float(verdict.correct),
        "format": float(response.well_formed),
        "similarity": float(verdict.similarity),
        "error": error,
        "unsafe": float(verdict.unsafe),
        "pred": verdict.pred,
        "answer_type": name,
        "reason": verdict.reason,
        "checklist_items": write_items(verdict.items),
    }


def _spec(source: Source, extra_info: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the row's extra_info, with missing or empty keys filled in from the source's spec."""
    if extra_info is None:
        return source.spec
    if not isinstance(extra_info, Mapping):
        raise ValueError(f"extra_info must be a mapping, not {type(extra_info).__name__}")
    if not source.spec:
        return extra_info
    missing = {key: value for key, value in source.spec.items() if _is_empty(extra_info.get(key))}
    return {**extra_info, **missing}


def _is_empty(value: Any) -> bool:
    return value is None or (hasattr(value, "__len__") and len(value) == 0)


def _gold_text(ground_truth: Any) -> str:
    if isinstance(ground_truth, bool) or not isinstance(ground_truth, (str, int, float)):
        raise ValueError(f"ground_truth must be a text or a number, not {type(ground_truth).__name__}")
    text = str(ground_truth).strip()
    if not text:
        raise ValueError("ground_truth is empty")
    if any(tag in text for tag in TAGS):
        raise ValueError(f"ground_truth {text[:40]!r} holds a response tag: unwrap it")
    return text


def count_error(
    data_source: object, error: Exception, expected: type[Exception] | tuple[type[Exception], ...] = ValueError
) -> None:
    """Count a row that could not be scored, and log the first of each data source, unexpected ones with a traceback."""
    name = str(data_source)[:80] if isinstance(data_source, str) else type(data_source).__name__
    with _errors_lock:
        if name not in _errors and len(_errors) >= _MAX_COUNTED_SOURCES:
            name = _OTHER_SOURCES
        is_first = name not in _errors
        _errors[name] += 1
    if is_first:
        _LOGGER.error(
            "rows of data source %r can't be scored as they should: %s",
            name,
            error,
            exc_info=None if isinstance(error, expected) else error,
        )
