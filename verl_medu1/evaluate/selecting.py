"""The steps of `medu1 select`, in order."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from reward_score.label_overrides import COLUMNS
from verl_medu1.data.selected_rows import Row, earlier_rate, key_of, measured, read_rows, write_selected
from verl_medu1.data.selection import REASONS, Outcome, PassRate, Selection, band_reason, empty_levels, select
from verl_medu1.evaluate.pass_rates import Answers, Counted, from_evaluation, from_rollouts, label_candidate
from verl_medu1.run_folder.evaluations import write_jsonl
from verl_medu1.run_folder.whole_file import replace_file

QUESTIONS, CANDIDATES = "questions.jsonl", "label_candidates.csv"
IN_FILE, SELECTED, LUCKY = "in the file", "selected", "right as prepared, not under most orders"


def run_selection(
    data: Path,
    out: Path,
    rules: Selection,
    evaluation: Path | None = None,
    rollouts: Path | None = None,
    last_steps: int | None = None,
) -> dict[str, Any]:
    """Count pass rates, select, and write everything.

    A question without a new sample keeps the pass rate of an earlier selection, if the file has one.

    Args:
        data: prepared training file.
        out: folder for train.parquet, manifest.json, questions.jsonl (pass rate and outcome of every question) and
            label_candidates.csv (in the format of `medu1 prepare --overrides`, which leaves its rows out).
        rules: the rules, checked.
        evaluation, rollouts: where pass rates come from, one of them.
        last_steps: of the rollouts; None for all.

    Returns:
        What the manifest says of the selection.

    Raises:
        ValueError: a file can't be read or written, the pass rates are of other questions, or no question is left.
    """
    schema, rows = read_rows(data)
    if evaluation is not None:
        counted = from_evaluation(evaluation, rows)
    elif rollouts is not None:
        counted = from_rollouts(rollouts, rows, last_steps)
    else:
        raise ValueError("Pass rates come from an evaluation or from rollouts; give one.")
    answers = [counted.answers.get(key_of(row)) for row in rows]
    rates = [found.rate if found is not None else earlier_rate(row) for row, found in zip(rows, answers, strict=True)]
    outcomes, edges = select([measured(row, rate) for row, rate in zip(rows, rates, strict=True)], rules)
    candidates = {place: said for place, found in enumerate(answers) if found and (said := label_candidate(found))}
    report = _report(data, rows, answers, rates, outcomes, edges, rules, counted, len(candidates))
    write_selected(data, out, schema, rows, rates, outcomes, report)
    write_jsonl(
        out / QUESTIONS,
        (
            _line(row, found, rate, outcome, candidates.get(place))
            for place, (row, found, rate, outcome) in enumerate(zip(rows, answers, rates, outcomes, strict=True))
        ),
    )
    replace_file(out / CANDIDATES, [_candidates(rows, answers, candidates)])
    return report


def _report(
    data: Path,
    rows: Sequence[Row],
    answers: Sequence[Answers | None],
    rates: Sequence[PassRate | None],
    outcomes: Sequence[Outcome],
    edges: Sequence[float],
    rules: Selection,
    counted: Counted,
    candidates: int,
) -> dict[str, Any]:
    sources: dict[str, dict[str, Counter[str]]] = {}
    has_orders = any(found is not None and len(found.right) > 1 for found in answers)
    for row, found, outcome in zip(rows, answers, outcomes, strict=True):
        names = [IN_FILE, *REASONS, SELECTED, *([LUCKY] if has_orders else [])]
        empty = {"questions": Counter(dict.fromkeys(names, 0)), "levels": Counter()}
        source = sources.setdefault(row["data_source"], empty)
        source["questions"].update([IN_FILE, outcome.reason or SELECTED])
        if has_orders and found is not None and found.is_lucky:
            source["questions"][LUCKY] += 1
        if outcome.level:
            source["levels"][outcome.level] += 1
    bounds = [0.0, *edges, 1.0]
    most = max(rate.samples for rate in rates if rate is not None)
    extremes = (PassRate(0, most), PassRate(most, most))
    return {
        "data": str(data),
        "origin": counted.origin,
        "rules": asdict(rules),
        "levels": {
            f"L{len(edges) + 1 - place}": {"from": bounds[place], "to": bounds[place + 1]}
            for place in reversed(range(len(edges) + 1))
        }
        if edges
        else {},
        "empty_levels": empty_levels(rates, outcomes, edges),
        "most_samples": most,
        "band_without_effect": rules.band != (0.0, 1.0)
        and not any(band_reason(rate, rules.band, rules.confidence) for rate in extremes),
        "sources": sources,
        "left_out_samples": counted.left_out,
        "unknown_questions": counted.unknown,
        "label_candidates": candidates,
    }


def _line(
    row: Row, answers: Answers | None, rate: PassRate | None, outcome: Outcome, candidate: tuple[str, float] | None
) -> dict[str, Any]:
    source, row_id = key_of(row)
    return {
        "data_source": source,
        "row_id": row_id,
        "right": rate.right if rate else None,
        "samples": rate.samples if rate else None,
        "interval": rate.interval(0.95) if rate else None,
        "orders": {name: [sum(right), len(right)] for name, right in answers.right.items()} if answers else {},
        "known": answers.is_known if answers else None,
        "left_out": outcome.reason or None,
        "level": outcome.level or None,
        "label_candidate": candidate[0] if candidate else None,
    }


def _candidates(
    rows: Sequence[Row], answers: Sequence[Answers | None], candidates: Mapping[int, tuple[str, float]]
) -> str:
    """Write the candidates as CSV, an override each that leaves the row out."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for place, (said, share) in candidates.items():
        found, gold = answers[place], rows[place]["reward_model"]["ground_truth"]
        samples = found.rate.samples if found else 0
        why = f"{samples} of {samples} samples wrong, {share:.0%} say: {said}"
        writer.writerow([*key_of(rows[place]), gold, "", why])
    return text.getvalue()
