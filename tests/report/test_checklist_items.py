"""The report's table of checklist items."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reward_score.item_results import ItemResult, write_items
from verl_medu1.evaluate.checklists import MAX_ITEMS, Tally
from verl_medu1.report.checklist_items import audit_sentence, item_table
from verl_medu1.report.page import write_report

REST, ASPIRIN = "Advises rest", "Advises <script>aspirin</script> {{ 7*7 }}"


def dump(folder: Path, step: int, *answers: list[ItemResult]) -> Path:
    file = folder / f"{step}.jsonl"
    rows = [{"input": "q", "output": "a", "gts": "r", "checklist_items": write_items(items)} for items in answers]
    # Rows of another source, and of a run before there were checklists.
    rows += [
        {"input": "q", "output": "a", "gts": "r", "checklist_items": ""},
        {"input": "q", "output": "a", "gts": "r"},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def steps(folder: Path, number: int) -> dict[int, Path]:
    """From the middle on, answers have the item, and no longer the must-not."""
    return {
        step: dump(
            folder,
            step,
            [ItemResult(REST, step > number / 2), ItemResult(ASPIRIN, step <= number / 2, must_not=True)],
            [ItemResult(REST, step > number / 2)],
        )
        for step in range(1, number + 1)
    }


@pytest.mark.parametrize(
    ("number", "first", "last", "asked"),
    [
        (1, "step 1", "", 2),
        (2, "step 1", "step 2", 2),
        (20, "steps 1 to 2", "steps 19 to 20", 4),
        (100, "steps 1 to 5", "steps 96 to 100", 10),
    ],
)
def test_first_and_last_steps_are_told_apart(tmp_path, number, first, last, asked):
    table = item_table(steps(tmp_path, number))
    assert (table.first, table.last, table.left_out) == (first, last, "")
    rest, aspirin = table.rows
    assert (rest.statement, rest.must_not) == (REST, False) and (aspirin.statement, aspirin.must_not) == (ASPIRIN, True)
    assert rest.last == (Tally(asked, asked) if last else Tally(0, 0))
    if last:
        assert rest.first == Tally(asked, 0)
        assert (aspirin.first, aspirin.last) == (Tally(asked // 2, asked // 2), Tally(asked // 2, 0))


def test_the_most_often_asked_are_shown_and_the_others_counted(tmp_path):
    rare = [ItemResult(f"rare {n}", True) for n in range(MAX_ITEMS + 5)]
    table = item_table({1: dump(tmp_path, 1, rare), 2: dump(tmp_path, 2, [ItemResult("often", True)] * 2)})
    assert len(table.rows) == MAX_ITEMS and table.left_out == "Left out: 6 more items."
    assert table.rows[0].statement == "often" and table.rows[0].first.share is None
    same = [ItemResult("same", True), ItemResult("same", False, must_not=True)]
    assert len(item_table({1: dump(tmp_path, 1, same)}).rows) == 2


def test_without_a_checklist_there_is_no_table(tmp_path):
    assert item_table({}) is None and item_table({1: dump(tmp_path, 1)}) is None


def test_the_page_has_the_table_and_escapes_it(tmp_path: Path, make_run: Callable) -> None:
    run = make_run(steps=2)
    write_report([run], tmp_path / "without.html")
    assert "Items of the checklists" not in (tmp_path / "without.html").read_text()
    steps(run / "rollouts", 2)
    write_report([run], tmp_path / "with.html")
    page = (tmp_path / "with.html").read_text()
    assert "<td>Advises rest</td><td></td><td>2</td><td>0.0</td><td>2</td><td>100.0</td>" in page
    assert "&lt;script&gt;aspirin" in page and "<script>" not in page
    assert '<span class="badge wrong">must not</span></td><td>1</td><td>100.0</td><td>1</td><td>0.0</td>' in page
    assert "answers, step 1" in page and "Rules and judge agreed" not in page
    # Held-out answers are of the same questions at each step, but one step of them shows no change.
    (run / "validation").mkdir()
    for step in (0, 2):
        dump(run / "validation", step, [ItemResult("held out", True)])
        write_report([run], tmp_path / "with.html")
        page = (tmp_path / "with.html").read_text()
        assert (f"<td>{REST}</td>" in page) == (step == 0) and ("<td>held out</td>" in page) == (step == 2)
    assert "answers, step 0" in page and "answers, step 2" in page


def test_the_agreement_of_rules_and_judge_is_told(tmp_path: Path, make_run: Callable) -> None:
    from torch.utils.tensorboard import SummaryWriter

    assert audit_sentence({}) == ""
    run = make_run(steps=2)
    with SummaryWriter(str(run / "tensorboard")) as writer:
        for step, (items, failed, agreement) in {1: (10, 1, 0.7), 2: (0, 2, None), 3: (30, 0, 0.9)}.items():
            writer.add_scalar("judge/audit_items", items, step)
            writer.add_scalar("judge/audit_failed", failed, step)
            if agreement is not None:
                writer.add_scalar("judge/audit_agreement", agreement, step)
    write_report([run], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "Rules and judge agreed on 34 of 40 items that rules had decided" in page
    assert "On 3 more it gave no verdict." in page and 'alt="rules and judge agree on checklist items over' in page
