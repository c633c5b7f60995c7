"""Preparing questions: generated ones, the benchmarks' files, and what is wrong with a file."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import reward_score
from tests.real_data import real_file
from verl_medu1.cli.prepare import prepare
from verl_medu1.data.generated.prepare import WRONG_SHARE
from verl_medu1.data.generated.questions import draw_questions

BENCHMARKS = {
    "medcalc": "medcalc.json",
    "mediq": "mediq.json",
    "medxpertqa": "medxpertqa.json",
    "medical-o1": "medical_o1.json",
}


def rows_of(path: Path) -> list[dict]:
    return pq.read_table(path).to_pylist()


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("quickstart")
    prepare(["quickstart"], out, seed=3, train=200, warmup=50)
    return out


def test_quickstart_has_all_answer_types_and_budgets(quickstart):
    for name in ("train", "test"):
        rows = rows_of(quickstart / f"{name}.parquet")
        assert {row["ability"] for row in rows} == {"multiple_choice", "calculation", "open_ended"}
        assert {row["extra_info"]["budget_mode"] for row in rows} == {"exact"}
        for row in rows:
            assert str(row["extra_info"]["budget_tokens"]) in row["prompt"][-1]["content"]


def test_quickstart_with_maximum_budgets(tmp_path):
    prepare(["quickstart"], tmp_path, seed=3, train=20, warmup=5, budget=["max:fixed:12,22,40"])
    for row in rows_of(tmp_path / "train.parquet"):
        info = row["extra_info"]
        assert info["budget_mode"] == "max" and info["budget_tokens"] in (12, 22, 40)
        assert f"at most {info['budget_tokens']} tokens" in row["prompt"][1]["content"]


def test_each_gold_answer_is_right_by_its_own_scorer(quickstart):
    for row in rows_of(quickstart / "train.parquet") + rows_of(quickstart / "test.parquet"):
        gold = row["reward_model"]["ground_truth"]
        response = f"<think>because</think><answer>{gold}</answer>"
        assert reward_score.compute_score(row["data_source"], response, gold, row["extra_info"])["score"] == 1.0


def test_no_held_out_question_is_in_training_or_warm_up(quickstart):
    def questions(name: str, column: str) -> set[str]:
        # The last line is instruction and budget.
        return {row[column][1]["content"].rsplit("\n", 1)[0] for row in rows_of(quickstart / f"{name}.parquet")}

    test = questions("test", "prompt")
    assert test and not test & (questions("train", "prompt") | questions("warmup", "messages"))


def test_demonstrations_come_to_their_own_answer(quickstart):
    for row in rows_of(quickstart / "warmup.parquet"):
        reasoning, answer = re.fullmatch(
            "<think>(.*)</think><answer>(.*)</answer>", row["messages"][-1]["content"]
        ).groups()
        assert re.search(rf"\b{re.escape(answer)}\b", reasoning)


def test_the_teacher_is_as_careless_as_it_says(tmp_path):
    prepare(["quickstart"], tmp_path, seed=3, train=1, warmup=3000)
    right = []
    for row in rows_of(tmp_path / "warmup.parquet"):
        question = row["messages"][1]["content"]
        if "Answer with a number." in question:
            gold = question.count(" yes")
            right.append(row["messages"][-1]["content"].endswith(f"<answer>{gold}</answer>"))
    assert len(right) == 1000 and abs(sum(right) / len(right) - (1 - WRONG_SHARE)) < 0.05


def test_the_same_seed_gives_the_same_bytes(quickstart, tmp_path):
    prepare(["quickstart"], tmp_path, seed=3, train=200, warmup=50)
    for name in ("train.parquet", "test.parquet", "warmup.parquet", "manifest.json"):
        assert (tmp_path / name).read_bytes() == (quickstart / name).read_bytes()


def test_the_scores_are_recomputed():
    import random

    draws = draw_questions(False, 0, random.Random(1))
    for _ in range(300):
        example = next(draws).example
        if example.answer_type == "calculation":
            # One point for each finding.
            expected = example.question.count(" yes")
            assert int(example.gold) == expected


def test_a_budget_of_the_reasoning_stands_in_the_row_and_in_words(tmp_path):
    source = [f"mediq={real_file('mediq.json')}"]
    prepare(source, tmp_path, budget=["max:fixed:90", "exact:fixed:90"], budget_counts="reasoning")
    for row in rows_of(tmp_path / "train.parquet"):
        assert row["extra_info"]["budget_counts"] == "reasoning"
        words = {"max": "Think for at most 90 tokens.", "exact": "Think for about 90 tokens."}
        assert row["prompt"][-1]["content"].endswith(words[row["extra_info"]["budget_mode"]])


def test_the_four_benchmarks_make_one_mixture(tmp_path):
    sources = [f"{name}={real_file(file)}" for name, file in BENCHMARKS.items()]
    prepare(sources, tmp_path, seed=0, test_share=0.1, budget=["max:uniform:100:200"], keep_test_rows=True)
    manifest = json.loads((tmp_path / "manifest.json").read_text())["sources"]
    assert {name: entry["read"] for name, entry in manifest.items()} == {
        "medcalc": 1047, "mediq": 115, "medxpertqa": 221, "medical-o1": 1000,
    }  # fmt: skip
    for entry in manifest.values():
        steps = ("exact_duplicates", "near_duplicates", "contaminated", "too_long", "passages", "over_cap")
        left_out = len(entry["unscorable"]) + len(entry["excluded"]) + sum(entry["unusable"].values())
        left_out += sum(entry[step] for step in steps)
        assert entry["read"] == entry["train"] + entry["test"] + left_out
    assert len(manifest["medcalc"]["corrected"]) == 15
    # Eight pairs of rows agree in note, question and answer.
    assert manifest["medcalc"]["exact_duplicates"] == 8 and manifest["medcalc"]["near_duplicates"] == 0
    rows = rows_of(tmp_path / "train.parquet")
    assert {row["ability"] for row in rows} == {"multiple_choice", "calculation", "open_ended"}
    for row in rows:
        text = row["prompt"][-1]["content"]
        assert "<answer>" not in row["reward_model"]["ground_truth"] and "<|im_start|>" not in text
        assert "Answer Choices" not in text
        for option in row["extra_info"]["options"]:
            assert text.splitlines().count(f"{option['letter']}. {option['text']}") == 1


def test_demonstrations_of_the_format_are_right_by_their_own_scorer(tmp_path):
    prepare([f"mediq={real_file('mediq.json')}"], tmp_path, warmup=20)
    rows = {row["prompt"][-1]["content"]: row for row in rows_of(tmp_path / "train.parquet")}
    demonstrations = rows_of(tmp_path / "warmup.parquet")
    assert len(demonstrations) == 20
    for demonstration in demonstrations:
        row = rows[demonstration["messages"][1]["content"]]
        gold, response = row["reward_model"]["ground_truth"], demonstration["messages"][-1]["content"]
        assert reward_score.compute_score(row["data_source"], response, gold, row["extra_info"])["score"] == 1.0
    with pytest.raises(ValueError, match="--warmup is 5000"):
        prepare([f"mediq={real_file('mediq.json')}"], tmp_path, warmup=5000)


def test_rows_about_one_patient_note_stay_together_and_capped_rows_are_counted(tmp_path):
    notes = [f"<Context> Patient {place // 3}. </Context>" for place in range(60)]
    records = [
        {
            "id": place,
            "problem": f"{note} <Question> Item {place}? </Question>",
            "answer": "4.0",
            "Lower Limit": "3.8",
            "Upper Limit": "4.2",
        }
        for place, note in enumerate(notes)
    ]
    (tmp_path / "medcalc.json").write_text(json.dumps(records))
    prepare([f"medcalc={tmp_path / 'medcalc.json'}"], tmp_path / "out", cap=["medcalc=50"], test_share=0.2)
    patients = {
        split: {row["prompt"][-1]["content"].split(".")[0] for row in rows_of(tmp_path / "out" / f"{split}.parquet")}
        for split in ("train", "test")
    }
    assert patients["train"] and patients["test"] and not patients["train"] & patients["test"]
    entry = json.loads((tmp_path / "out" / "manifest.json").read_text())["sources"]["medcalc"]
    assert entry["over_cap"] == 10 and entry["train"] + entry["test"] == 50


def test_a_dash_in_place_of_an_answer_is_counted_and_left_out(tmp_path, capsys):
    question, answer = "Open-ended Verifiable Question", "Ground-True Answer"
    records = [{question: f"What is number {place}?", answer: gold} for place, gold in enumerate(["-", "One", "Two"])]
    (tmp_path / "a.json").write_text(json.dumps(records))
    prepare([f"medical-o1-verifiable={tmp_path / 'a.json'}"], tmp_path / "out", test_share=0.0)
    assert len(rows_of(tmp_path / "out" / "train.parquet")) == 2
    told = "left out: medical-o1-verifiable/0: ground_truth '-' is punctuation alone, and no answer"
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("question", "unit"),
    [
        ("What is the GFR in terms of mL/min/1.73 m²?", "mL/min/1.73 m²"),
        ("What is the clearance in terms of mL/min? Use the adjusted body weight in kg instead.", "mL/min"),
        ("What is patient's mean arterial pressure in mm Hg?", "mm Hg"),
        ("What is the equivalent dosage in mg of PrednisoLONE PO?", "mg"),
        ("What is the LDL concentration? Please output your answer in terms of mg/dL.", "mg/dL"),
        ("Please return your answer as a percentage value.", "%"),
        ("What is the patient's Framingham Risk Score?", "%"),
        ("What is the patient's HEART score in mgmt?", None),
    ],
)
def test_the_unit_that_a_calculation_asks_for_is_read(tmp_path, question, unit):
    problem = f"<Context> A note with creatinine in mmol/L. </Context> <Question> {question} </Question>"
    record = {"problem": problem, "answer": "4.0", "Lower Limit": "3.8", "Upper Limit": "4.2"}
    (tmp_path / "medcalc.json").write_text(json.dumps([record]))
    prepare([f"medcalc={tmp_path / 'medcalc.json'}"], tmp_path / "out", test_share=0.0)
    [row] = rows_of(tmp_path / "out" / "train.parquet")
    assert row["extra_info"]["unit"] == unit


def test_overrides_correct_and_exclude_leave_a_note_and_are_listed(tmp_path, capsys):
    records = [
        {"id": place, "problem": f"{drug} how much?", "answer": "4.0", "Lower Limit": "3.8", "Upper Limit": "4.2"}
        for place, drug in enumerate(("Insulin:", "Heparin:", "Atropine:"))
    ]
    (tmp_path / "medcalc.json").write_text(json.dumps(records))
    (tmp_path / "mine.csv").write_text(
        "data_source,row_id,published,corrected,reason\n"
        "MedCalc-Bench,0,4.0,8.0,twice as much\nMedCalc-Bench,1,4.0,,the note lacks the weight\n"
    )
    source = [f"medcalc={tmp_path / 'medcalc.json'}"]
    prepare(source, tmp_path / "out", test_share=0.0, overrides=tmp_path / "mine.csv")
    rows = {row["extra_info"]["row_id"]: row for row in rows_of(tmp_path / "out" / "train.parquet")}
    assert rows.keys() == {"medcalc/0", "medcalc/2"}
    assert rows["medcalc/0"]["reward_model"]["ground_truth"] == "8.0"
    assert rows["medcalc/0"]["extra_info"]["override"] == "gold was 4.0: twice as much"
    assert rows["medcalc/2"]["extra_info"]["override"] is None
    # The published limits went with the published answer.
    assert reward_score.check_gold("MedCalc-Bench", "8.0", rows["medcalc/0"]["extra_info"]) is None
    entry = json.loads((tmp_path / "out" / "manifest.json").read_text())["sources"]["medcalc"]
    assert (entry["read"], entry["train"]) == (3, 2)
    assert entry["corrected"] == ["medcalc/0: gold was 4.0: twice as much"]
    assert entry["excluded"] == ["medcalc/1: gold was 4.0: the note lacks the weight"]
    told = capsys.readouterr().err
    assert "gold corrected: medcalc/0: gold was 4.0: twice as much" in told
    assert "left out: medcalc/1: gold was 4.0: the note lacks the weight" in told


def test_records_of_another_category_are_counted(tmp_path, capsys):
    question = {"question": "Which is right?", "options": ["a", "b"], "answer_index": 0}
    categories = ["health", "law", "health", "law", "law"]
    records = [{**question, "question_id": n, "category": what} for n, what in enumerate(categories)]
    (tmp_path / "mmlu.json").write_text(json.dumps(records))
    prepare([f"mmlu-pro={tmp_path / 'mmlu.json'}"], tmp_path / "out", test_share=0.0, keep_test_rows=True)
    entry = json.loads((tmp_path / "out" / "manifest.json").read_text())["sources"]["mmlu-pro"]
    assert (entry["read"], entry["others"], entry["exact_duplicates"]) == (5, {"not category health": 3}, 1)
    assert "left out: mmlu-pro: 3 records (not category health)" in capsys.readouterr().err


def test_a_large_group_is_not_held_out_for_a_small_share(tmp_path):
    notes = ["one note"] * 60 + [f"note {number}" for number in range(40)]
    numbers = [f"{word} {other}" for word in "abcdefghij" for other in "klmnopqrst"]
    rows = [
        {"question": f"Which finding is called {number}?", "answer": number, "context": note}
        for number, note in zip(numbers, notes, strict=True)
    ]
    (tmp_path / "own.json").write_text(json.dumps(rows))
    for seed in range(4):
        prepare([f"own={tmp_path / 'own.json'}:open_ended"], tmp_path / str(seed), test_share=0.1, seed=seed)
        entry = json.loads((tmp_path / str(seed) / "manifest.json").read_text())["sources"]["own-open_ended"]
        assert entry["test"] == 10 and entry["train"] == 90


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--source", "nope=x.json"], "choose quickstart, synthetic-calc=N, or one of"),
        (["--source", "mediq"], "write NAME=VALUE"),
        (["--source", "mediq=missing.json"], "can't be read"),
        (["--source", "mediq=x.json", "--max-prompt-tokens", "5"], "belong together"),
        (["--source", "mediq=x.json", "--tokenizer", "x", "--max-prompt-tokens", "0"], "--max-prompt-tokens is 0"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, arguments, sentence):
    done = subprocess.run(
        [sys.executable, "-m", "verl_medu1.cli.app", "prepare", *arguments, "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("medu1: ") and done.stderr.count("\n") == 1 and sentence in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("source", ["quickstart", "synthetic-calc=20"])
def test_a_file_is_no_folder_to_write(tmp_path, source):
    (tmp_path / "out").write_text("")
    with pytest.raises(ValueError, match=r"--out .*out can't be written \(File exists\); give a folder"):
        prepare([source], tmp_path / "out", warmup=1)


@pytest.mark.parametrize(
    ("sources", "options", "sentence"),
    [
        (["mediq=x.json", "mediq=y.json"], {}, "given twice"),
        (["mediq=x.json"], {"cap": ["medcalc=3"]}, "no --source reads"),
        (["mediq=x.json"], {"cap": ["mediq=0"]}, "at least 1"),
        (["mediq=x.json"], {"cap": ["mediq=few"]}, "whole number"),
        (["mediq=x.json"], {"cap": ["mediq=3", "mediq=4"]}, "give each source one cap"),
        (
            ["mediq=x.json"],
            {"train": 3},
            "--train is 3, and is for --source quickstart, quickstart-",
        ),
        (["mediq=x.json"], {"test_share": 1.0}, "--test-share is 1"),
        (["quickstart"], {"test_share": 0.1}, "--test-share can't be set for --source quickstart"),
        (["mediq=x.json"], {"budget": ["exact:uniform:9:3"]}, "smallest and the largest"),
        (["mediq=x.json"], {"budget": ["max:fixed:9"], "budget_counts": "words"}, "--budget-counts is 'words'"),
        (["mediq=x.json"], {"budget_counts": "reasoning"}, "no --budget for it"),
        (["quickstart"], {"budget_counts": "reasoning"}, "can't be set for --source quickstart"),
        (["quickstart"], {"cap": ["mediq=3"]}, "can't be set for --source quickstart"),
        (["quickstart"], {"benchmark": ["x.parquet"]}, "can't be set for --source quickstart"),
        (["quickstart"], {"keep_test_rows": True}, "--keep-test-rows can't be set for --source quickstart"),
        (["mediq=x.json"], {"duplicate_threshold": 0.2}, "--duplicate-threshold is 0.2"),
        (["ehrnoteqa=hub"], {}, "ehrnoteqa is on no hub"),
        (["quickstart"], {"budget": ["none"]}, "give exact:fixed:12,22,40 or max:fixed:12,22,40"),
        (["quickstart", "mediq=x.json"], {}, "stands alone"),
    ],
)
def test_impossible_options_are_named_and_nothing_is_written(tmp_path, sources, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        prepare(sources, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
