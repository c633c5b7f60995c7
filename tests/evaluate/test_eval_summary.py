"""Samples become figures, tables and files."""

import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from reward_score.item_results import ItemResult, write_items
from verl_medu1.evaluate.budget_curve import MAX_POINTS, by_budget, is_kept
from verl_medu1.evaluate.checklists import MAX_ITEMS
from verl_medu1.evaluate.statistics import Difference
from verl_medu1.evaluate.summary import accuracy_differences, figures, per_question, summarize
from verl_medu1.evaluate.tables import all_tables, budget_table, comparison_table, difference_text
from verl_medu1.run_folder import evaluations


def test_figures_of_a_small_group(sample: Callable) -> None:
    group = [
        sample("a", right=True, length=10, budget=20),
        sample("b", right=False, length=50, budget=20, format=0.0, truncated=1.0),
        sample("c", right=False, length=30, budget=0, error=1.0),
        sample("d", right=True, length=30, budget=0),
    ]
    found = figures(group)
    assert found["questions"] == found["samples"] == 4
    assert found["accuracy"] == found["reward"] == 0.5
    assert found["format"] == 0.75
    assert found["truncated"] == found["errors"] == 0.25
    assert found["length"] == 30
    assert found["length_p95"] == pytest.approx(np.percentile([10, 50, 30, 30], 95))
    # Rows without a budget do not enter the distance from it.
    assert found["budget_samples"] == 2
    assert found["budget_distance"] == 15
    assert found["over_budget"] == 0.5


def test_the_table_of_budgets_says_what_they_count(sample: Callable) -> None:
    samples = [sample(str(number), length=90, counted_tokens=40 + number, budget=50) for number in range(3)]
    table = budget_table(summarize(samples))
    assert table is not None
    [row] = [line for line in _lines(table) if "max 50" in line]
    assert row.split()[-3:] == ["90.0", "41.0", "40.0"]


def test_without_budgets_there_is_no_distance(sample: Callable) -> None:
    found = figures([sample("a", budget=0)])
    assert found["budget_distance"] is None
    assert found["over_budget"] is None


def test_row_ids_of_different_sources_are_different_questions(sample: Callable) -> None:
    samples = [sample("1", "demo_calc"), sample("1", "demo_choice", right=False)]
    assert len(per_question(samples, "acc")) == 2
    assert figures(samples)["questions"] == 2


def test_summary_groups_by_type_and_source(sample: Callable) -> None:
    samples = [sample("a", "demo_calc"), sample("b", "demo_choice", right=False), sample("c", "demo_choice")]
    summary = summarize(samples)
    assert summary["overall"]["accuracy"] == pytest.approx(2 / 3)
    assert {name: group["accuracy"] for name, group in summary["data_source"].items()} == {
        "demo_calc": 1.0,
        "demo_choice": 0.5,
    }
    assert set(summary["answer_type"]) == {"calculation", "multiple_choice"}


def test_no_samples_no_summary() -> None:
    with pytest.raises(ValueError, match="no samples"):
        summarize([])


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_accuracy_weighs_questions_and_not_samples(answers: list[tuple[int, bool]]) -> None:
    samples = [{"data_source": "s", "row_id": str(row), "acc": float(right)} for row, right in answers]
    means = per_question(samples, "acc")
    assert set(means) == {("s", str(row)) for row, _ in answers}
    for (_, row), mean in means.items():
        assert mean == pytest.approx(np.mean([right for other, right in answers if str(other) == row]))


def test_differences_use_common_questions_only(sample: Callable) -> None:
    before = [sample("a", right=False), sample("b", right=False), sample("gone", right=True)]
    after = [sample("a", right=True), sample("b", right=False), sample("new", right=True)]
    assert accuracy_differences(before, after)["calculation"].value == 0.5
    assert accuracy_differences(before[2:], after[2:]) == {}


@pytest.mark.parametrize(
    ("difference", "text"),
    [
        (None, "–"),
        (Difference(0.1234, 0.05, 0.2, 0.01), "+12.3 [+5.0, +20.0]"),
        (Difference(-0.5, -0.75, -0.25, 0.01), "-50.0 [-75.0, -25.0]"),
    ],
)
def test_difference_in_words(difference: Difference | None, text: str) -> None:
    assert difference_text(difference) == text


def _lines(table: object) -> list[str]:
    console = Console(width=80, file=io.StringIO())
    with console.capture() as capture:
        console.print(table)
    return capture.get().splitlines()


def test_tables_fit_into_80_columns_without_losing_a_figure(sample: Callable) -> None:
    before = [sample(str(i), "demo_choice", right=i < 3, length=100) for i in range(10)]
    after = [sample(str(i), "demo_choice", right=i < 9, length=60) for i in range(10)]
    old, new = ({"model": {"path": "m"}, **summarize(samples)} for samples in (before, after))
    lines = _lines(comparison_table(old, new, accuracy_differences(before, after)))
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for expected in ("multiple_choice", "30.0 [", "90.0 [", "+60.0 [", "0.031", "100.0", "60.0"):
        assert expected in text
    assert "…" not in text
    for table in all_tables(new):
        assert "…" not in "\n".join(_lines(table))


def test_all_that_was_measured_is_printed(sample: Callable) -> None:
    samples = [
        sample(str(i), "MedQA", right=i % 4 > number, length=40 + i, budget=[30, 60][i % 2], sample=number)
        for i in range(8)
        for number in range(4)
    ]
    samples += [sample(str(i), "MedQA", right=i % 2 == 0, asked_as="short_answer") for i in range(8)]
    tables = all_tables({"model": {"path": "m"}, **summarize(samples)})
    lines = [line for table in tables for line in _lines(table)]
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 80
    assert "…" not in text
    for expected in ("pass@1", "pass@4", "majority@4", "max 30", "max 60", "short answer", "stays", "medqa_4options"):
        assert expected in text


def test_budgets_are_put_together_and_none_is_lost(sample: Callable) -> None:
    exact = [
        sample(str(i), budget_mode="exact", budget_tokens=100 + i, budget_distance=float(i % 21)) for i in range(90)
    ]
    groups = by_budget([*exact, sample("max", budget=50), sample("none", budget=0)])
    assert [label["mode"] for label, _ in groups] == ["exact"] * MAX_POINTS + ["max"]
    found = [row["row_id"] for _, rows in groups for row in rows]
    assert sorted(found) == sorted([str(i) for i in range(90)] + ["max"])
    ends = [(label["fewest"], label["most"]) for label, _ in groups[:-1]]
    assert all(low[1] < high[0] for low, high in itertools.pairwise(ends))
    # Within 10 % of an exact budget: 10 tokens of 100, 12 of 120.
    assert is_kept(exact[10]) and not is_kept(exact[12]) and is_kept(exact[20]) is False


def test_the_figures_of_several_samples(sample: Callable) -> None:
    answers = {"a": [True, True, True], "b": [True, False, False], "c": [False, False, False]}
    group = [
        sample(row, right=right, sample=number)
        for row, of_row in answers.items()
        for number, right in enumerate(of_row)
    ]
    found = figures(group)
    assert found["k"] == 3
    assert {k: round(value["value"], 3) for k, value in found["pass_at"].items()} == {
        "1": round((1 + 1 / 3) / 3, 3), "2": round((1 + 2 / 3) / 3, 3), "3": round(2 / 3, 3)}  # fmt: skip
    assert found["pass_at"]["1"]["value"] == pytest.approx(found["accuracy"])
    assert found["majority"] == pytest.approx(1 / 3)
    assert "pass_at" not in figures(group[:1])


def test_jsonl_keeps_what_was_written(tmp_path: Path) -> None:
    rows = [{"response": 'line\nbreak \u2028 "quoted" 😀'}, {"score": 0.1}]
    evaluations.write_jsonl(tmp_path / "rows.jsonl", rows)
    assert evaluations.read_jsonl(tmp_path / "rows.jsonl") == rows


def test_a_line_that_is_still_being_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n{"a": ')
    assert evaluations.read_jsonl(path) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("line", ["{broken}", "[1, 2]", "", "null"])
def test_a_line_that_is_no_object_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"a": 1}}\n{line}\n')
    with pytest.raises(ValueError, match=r"Line 2 of .*rows.jsonl is not valid JSON object"):
        evaluations.read_jsonl(path)


def test_nan_never_reaches_a_summary_file(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    evaluations.write_json(path, {"accuracy": 0.5})
    with pytest.raises(ValueError, match="JSON"):
        evaluations.write_json(path, {"accuracy": float("nan")})
    assert json.loads(path.read_text()) == {"accuracy": 0.5}


def test_what_the_judge_gave_no_verdict_on_is_in_no_figure_and_counted(sample: Callable) -> None:
    """Two questions of a source have all four verdicts, one has two; another source has none."""
    failed = {"acc": 0.0, "score": 0.0, "error": 1.0, "judge_failed": 1.0, "length": 1000}
    samples = [sample(row, sample=n, right=row == "a", judge_failed=0.0) for row in "ab" for n in range(4)]
    samples += [sample("c", sample=n, **({"judge_failed": 0.0} if n < 2 else failed)) for n in range(4)]
    samples += [sample("d", "demo_open", **failed)]
    found = summarize(samples)
    overall, source = found["overall"], found["data_source"]["demo_calc"]
    assert set(found["data_source"]) == {"demo_calc"} and set(found["answer_type"]) == {"calculation"}
    assert (overall["questions"], overall["samples"], overall["left_out"], source["left_out"]) == (3, 10, 3, 2)
    assert overall["accuracy"] == pytest.approx(2 / 3) and overall["errors"] == 0 and overall["length"] == 40
    # Over the questions with four verdicts.
    assert overall["k"] == 4 and overall["pass_at"]["4"]["value"] == overall["majority"] == 0.5
    assert sum(point["samples"] for point in source["by_budget"]) == 10
    assert accuracy_differences(samples, samples)["overall"].value == 0
    assert set(accuracy_differences(samples, samples)) == {"calculation", "overall"}
    with pytest.raises(ValueError, match="no question has an answer with a verdict"):
        summarize(samples[-1:])


def test_items_of_checklists_are_counted_by_their_statement(sample: Callable) -> None:
    long = "Says that the patient must not drive a car for at least two weeks [bold]after the first seizure[/bold]"
    items = [ItemResult(long, True), ItemResult("Advises aspirin", False, must_not=True)]
    samples = [
        sample("a", "demo_open", checklist_items=write_items(items)),
        sample("b", "demo_open", checklist_items=write_items([ItemResult(long, False)])),
        # In another format, without a verdict, and from before there were checklists.
        sample("a", "demo_open", asked_as="short_answer", checklist_items=write_items(items)),
        sample("c", "demo_open", judge_failed=1.0, checklist_items=""),
        sample("d", "demo_choice"),
    ]
    summary = summarize(samples)
    assert summary["checklist"] == {
        "items": [
            {"statement": long, "must_not": False, "asked": 2, "share": 0.5},
            {"statement": "Advises aspirin", "must_not": True, "asked": 1, "share": 0.0},
        ],
        "left_out": 0,
    }
    lines = [line for table in all_tables({"model": {"path": "m"}, **summary}) for line in _lines(table)]
    text = " ".join(" ".join(lines).split())
    assert max(map(len, lines)) <= 80 and "checklist items" in text and "…" not in text
    assert "[bold]after" in text and "Advises aspirin must not 1 0.0" in text and "more items" not in text


def test_no_more_items_are_shown_than_fit(sample: Callable) -> None:
    items = write_items([ItemResult(f"item {n}", True) for n in range(MAX_ITEMS + 1)])
    summary = {"model": {"path": "m"}, **summarize([sample("a", checklist_items=items)])}
    assert (len(summary["checklist"]["items"]), summary["checklist"]["left_out"]) == (MAX_ITEMS, 1)
    assert "Left out: 1 more items." in " ".join(" ".join(_lines(all_tables(summary)[-1])).split())
    assert summarize([sample("a")])["checklist"] is None
