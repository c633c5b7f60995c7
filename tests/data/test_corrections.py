"""Gold answers of calculations: due dates that arithmetic corrects, limits of no width, and what the scorer is told."""

import json
from datetime import datetime, timedelta

import pyarrow.parquet as pq
import pytest

from reward_score import compute_score
from reward_score.label_overrides import LabelOverride
from tests.real_data import real_file
from verl_medu1.cli.prepare import prepare
from verl_medu1.data.budget import Budget
from verl_medu1.data.corrections import corrected, due_date_override, unmatched
from verl_medu1.data.counts import Counts
from verl_medu1.data.example import Example
from verl_medu1.data.schema import question_row
from verl_medu1.data.sources import read_source
from verl_medu1.data.sources.free_text import as_graded


def asked(period: str, cycle: int, gold: str, source: str = "MedCalc-Bench") -> Example:
    question = (
        f"The patient's last menstrual period was on {period}. Her cycle length is {cycle} days. "
        "Using Naegele's Rule, what is the estimated due date?"
    )
    return Example(source, "medcalc/1", "calculation", question, gold)


@pytest.mark.parametrize(
    ("row", "right"),
    [
        (asked("12/11/2013", 22, "09/23/2014"), "09/11/2014"),
        (asked("02/28/2007", 24, "12/09/2007"), "12/01/2007"),
        (asked("06/12/2005", 30, "03/20/2006"), "03/21/2006"),
        # Right as published:
        (asked("02/03/2012", 28, "11/09/2012"), None),
        (asked("12/11/2013", 22, "9/11/2014"), None),
        # Not ours to correct:
        (asked("13/45/2013", 22, "09/23/2014"), None),
        (asked("12/11/2013", 22, "09/23/2014", "own-calculation"), None),
        (Example("MedCalc-Bench", "medcalc/1", "calculation", "What is the due date?", "09/23/2014"), None),
    ],
)
def test_due_dates(row, right):
    override = due_date_override(row)
    assert (override and override.corrected) == right


def test_all_wrong_due_dates_of_the_benchmark_are_corrected_and_no_other_row():
    rows = read_source("medcalc", real_file("medcalc.json"))
    counts = Counts()
    after = {row.row_id: row for row in corrected(rows, counts, None)}
    changed = [row for row in rows if after[row.row_id] != row]
    assert len(after) == len(rows) and len(changed) == len(counts.corrected) == 15
    for row in changed:
        published, gold = (datetime.strptime(text, "%m/%d/%Y") for text in (row.gold, after[row.row_id].gold))
        # The published answer has the correction for a short cycle with the wrong sign.
        cycle = int(row.question.partition("Her cycle length is ")[2][:2])
        assert cycle < 28 and published - gold == timedelta(days=2 * (28 - cycle))
    assert not any(map(due_date_override, after.values()))


def test_a_file_of_corrections_replaces_them(tmp_path):
    (tmp_path / "none.csv").write_text("data_source,row_id,published,corrected,reason\n")
    prepare([f"medcalc={real_file('medcalc.json')}"], tmp_path / "out", overrides=tmp_path / "none.csv")
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["sources"]["medcalc"]["corrected"] == []


def test_equivalents_of_a_monovalent_ion_may_be_millimoles():
    rows = [row for row in read_source("medcalc", real_file("medcalc.json")) if row.answer_type == "calculation"]
    with_question = []
    for row in rows:
        info = question_row(row, [], Budget(), "train", 0)["extra_info"]
        if info["question"] is not None:
            with_question.append(row)
            response = f"<think>Because.</think><answer>{row.gold} mmol/L</answer>"
            assert compute_score(row.data_source, response, row.gold, info)["acc"] == 1.0, row.row_id
    # The other rows need no copy of their patient note.
    assert {row.unit for row in with_question} == {"mEq/L"} and len(with_question) == 100


def test_limits_of_no_width_are_counted(tmp_path, capsys):
    def record(number: int, gold: str, margin: float = 0.0) -> dict:
        low, high = float(gold) - margin, float(gold) + margin
        return {"id": number, "problem": f"Sailor {number}?", "answer": gold, "Lower Limit": low, "Upper Limit": high}

    records = [record(0, "42.683"), record(1, "1.5"), record(2, "3"), record(3, "7.5", 0.1)]
    (tmp_path / "a.json").write_text(json.dumps(records))
    prepare([f"medcalc={tmp_path / 'a.json'}"], tmp_path / "out", test_share=0.0)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["sources"]["medcalc"]["widened"] == 2
    assert "limits of no width, 5 % instead" in capsys.readouterr().out
    infos = {
        r["reward_model"]["ground_truth"]: r["extra_info"]
        for r in pq.read_table(tmp_path / "out" / "train.parquet").to_pylist()
    }
    for gold, answer, is_right in (("42.683", "42", 1.0), ("42.683", "40", 0.0), ("3", "2", 0.0), ("7.5", "7.8", 0.0)):
        response = f"<think>Because.</think><answer>{answer}</answer>"
        assert compute_score("MedCalc-Bench", response, gold, infos[gold])["acc"] == is_right, (gold, answer)


SHOWN = "Which drug?\nA. heparin\nB. aspirin"
LONG = "The nightly pain, swelling and fever of this young sailor suggest a malignant tumour of the metacarpal bone."


@pytest.mark.parametrize(
    ("question", "published", "right", "expected"),
    [
        (SHOWN, "It is A. heparin.", "It is B. aspirin.", ("multiple_choice", "B", "option")),
        (SHOWN, "It is A. heparin.", "B", ("multiple_choice", "B", "option")),
        ("What is the dose?", "The dose is 5 mg.", "7.5 mg", ("calculation", "7.5 mg", "value")),
        ("Which bone?", LONG, "Scaphoid", ("open_ended", "Scaphoid", "")),
    ],
)
def test_free_text_is_corrected_as_it_is_published(tmp_path, question, published, right, expected):
    record = {"Question": question, "Complex_CoT": "The wrong one, I think.", "Response": published}
    (tmp_path / "o1.json").write_text(json.dumps([record]))
    rows = read_source("medical-o1", tmp_path / "o1.json")
    overrides = {("medical-o1-reasoning-SFT", "0"): LabelOverride(published, right, "the book")}
    assert unmatched(rows, overrides) == []
    counts = Counts()
    [row] = corrected(rows, counts, overrides)
    assert (row.answer_type, row.gold, row.graded) == expected
    assert row.reasoning == "" and row.override and len(counts.corrected) == 1
    assert (row.lower_limit, row.upper_limit) == ((7.45, 7.55) if right == "7.5 mg" else (None, None))


def test_a_choice_is_corrected_by_its_letter_too():
    row = as_graded(Example("medical-o1-reasoning-SFT", "medical-o1/0", "open_ended", SHOWN, "Heparin."), "Response")
    overrides = {("medical-o1-multiple_choice", "0"): LabelOverride("A", "B", "the book")}
    [fixed] = corrected([row], Counts(), overrides)
    assert (fixed.gold, fixed.options, fixed.graded) == ("B", row.options, "option")


def test_a_correction_that_names_no_option_is_refused():
    row = as_graded(Example("medical-o1-reasoning-SFT", "medical-o1/0", "open_ended", SHOWN, "Heparin."), "Response")
    overrides = {("medical-o1-reasoning-SFT", "0"): LabelOverride("Heparin.", "Warfarin", "the book")}
    with pytest.raises(ValueError, match=r"--overrides, medical-o1-reasoning-SFT 0: field corrected .*none of the op"):
        corrected([row], Counts(), overrides)


def test_overrides_that_fit_no_row_are_told(tmp_path, capsys):
    records = [{"id": n, "problem": f"{drug}?", "answer": "4.0"} for n, drug in enumerate(("Insulin", "Heparin"))]
    records = [record | {"Lower Limit": "3.8", "Upper Limit": "4.2"} for record in records]
    (tmp_path / "a.json").write_text(json.dumps(records))
    (tmp_path / "mine.csv").write_text(
        "data_source,row_id,published,corrected,reason\nMedCalc-Bench,0,5.0,8.0,wrong\n"
        "MedCalc-Bench,1,4.0,8.0,wrong\nMedQA,0,A,B,another source\n"
    )
    source = [f"medcalc={tmp_path / 'a.json'}"]
    prepare(source, tmp_path / "out", test_share=0.0, overrides=tmp_path / "mine.csv")
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("--overrides")]
    assert told == ["--overrides: no row read has this id and published answer: MedCalc-Bench, 0"]
