"""`medu1 select`: from answers to a training file with levels; answers of other questions are refused."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf
from typer.testing import CliRunner

from reward_score.label_overrides import find_override, read_overrides
from verl_medu1.cli.app import app
from verl_medu1.cli.select import select as select_command
from verl_medu1.data.generated.prepare import PROMPTS_FILE, prepare_quickstart
from verl_medu1.data.prompts import load_prompts
from verl_medu1.data.selection import Selection
from verl_medu1.evaluate.pass_rates import from_evaluation, from_rollouts
from verl_medu1.evaluate.selecting import run_selection

ROWS = 30
Row = dict[str, Any]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    prepare_quickstart(tmp_path / "data", load_prompts(PROMPTS_FILE), ROWS, 30, seed=0)
    return tmp_path / "data" / "train.parquet"


def rows_of(file: Path) -> list[Row]:
    return pq.read_table(file).to_pylist()


def answer(row: Row, number: int, right: bool, pred: str = "", **changes: Any) -> Row:
    """A row of samples.jsonl."""
    return {
        "row_id": row["extra_info"]["row_id"],
        "sample": number,
        "data_source": row["data_source"],
        "asked_as": "as_prepared",
        "prompt": row["prompt"],
        "ground_truth": row["reward_model"]["ground_truth"],
        "extra_info": row["extra_info"],
        "answer_type": row["extra_info"]["answer_type"],
        "acc": float(right),
        "error": 0.0,
        "pred": pred or (row["reward_model"]["ground_truth"] if right else f"wrong {number}"),
    } | changes


def write_evaluation(folder: Path, samples: list[Row]) -> Path:
    folder.mkdir()
    (folder / "samples.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    (folder / "summary.json").write_text(json.dumps({"model": {"path": "some/model", "fingerprint": "abc"}}))
    return folder


def graded(rows: list[Row], samples: int = 4) -> list[Row]:
    """Row i has i % (samples + 1) right samples."""
    return [
        answer(row, number, number < place % (samples + 1))
        for place, row in enumerate(rows)
        for number in range(samples)
    ]


def test_selected_rows_have_their_pass_rate_and_level_and_all_else_as_before(data: Path, tmp_path: Path) -> None:
    rows, out = rows_of(data), tmp_path / "out"
    report = run_selection(data, out, Selection(levels=3), write_evaluation(tmp_path / "eval", graded(rows)))
    selected = rows_of(out / "train.parquet")
    assert len(selected) == ROWS
    for place, (before, after) in enumerate(zip(rows, selected, strict=True)):
        extra = after["extra_info"]
        assert (extra.pop("pass_rate"), extra.pop("pass_samples")) == (place % 5 / 4, 4)
        assert extra.pop("level") == {0: "L3", 1: "L2", 2: "L2", 3: "L1", 4: "L1"}[place % 5]
        assert after == before
    assert report["origin"]["model"] == "some/model" and report["origin"]["fingerprint"] == "abc"
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["licence"] == "Apache-2.0" and manifest["selection"]["levels"]["L1"] == {"from": 0.75, "to": 1.0}
    assert sum(manifest["rows"]["train"].values()) == manifest["files"]["train.parquet"]["rows"] == ROWS


def test_each_question_left_out_has_its_reason_in_a_file(data: Path, tmp_path: Path) -> None:
    rows, out = rows_of(data), tmp_path / "out"
    samples = graded(rows[:-2], 40)
    report = run_selection(
        data, out, Selection(band=(0.1, 0.6), caps={"quickstart-mcq": 2}), write_evaluation(tmp_path / "eval", samples)
    )
    lines = [json.loads(line) for line in (out / "questions.jsonl").read_text().splitlines()]
    assert [line["row_id"] for line in lines] == [row["extra_info"]["row_id"] for row in rows]
    assert [line["left_out"] for line in lines[-2:]] == ["not measured"] * 2
    assert lines[0]["left_out"] == "too hard" and (lines[0]["right"], lines[0]["samples"]) == (0, 40)
    kept = {line["row_id"] for line in lines if not line["left_out"]}
    assert kept == {row["extra_info"]["row_id"] for row in rows_of(out / "train.parquet")}
    assert sum(row["data_source"] == "quickstart-mcq" for row in rows_of(out / "train.parquet")) == 2
    for source in report["sources"].values():
        counts = dict(source["questions"])
        assert counts.pop("in the file") == sum(counts.values())


def test_samples_without_a_verdict_count_neither_way(data: Path, tmp_path: Path) -> None:
    rows = rows_of(data)
    samples = [
        answer(rows[0], 0, True),
        answer(rows[0], 1, False, error=1.0),
        answer(rows[0], 2, False, judge_failed=1.0),
        answer(rows[1], 0, False, judge_failed=1.0),
    ]
    counted = from_evaluation(write_evaluation(tmp_path / "eval", samples), rows)
    assert counted.left_out == 3 and [found.rate.samples for found in counted.answers.values()] == [1]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"prompt": [{"role": "user", "content": "Another?"}]}, "another prompt for row 'quickstart-.*evaluate --data"),
        ({"ground_truth": "nothing"}, "another gold answer for row"),
        ({"row_id": "elsewhere"}, "no question with a verdict in common"),
        ({"row_id": ""}, "answers without a row_id"),
    ],
)
def test_answers_to_other_questions_are_refused(data: Path, tmp_path: Path, changes: Row, sentence: str) -> None:
    rows = rows_of(data)
    folder = write_evaluation(tmp_path / "eval", [answer(rows[0], 0, True) | changes])
    with pytest.raises(ValueError, match=sentence):
        run_selection(data, tmp_path / "out", Selection(), folder)
    assert not (tmp_path / "out").exists()


def test_other_formats_do_not_count_and_other_orders_do(data: Path, tmp_path: Path) -> None:
    rows = rows_of(data)
    row = next(row for row in rows if row["extra_info"]["options"])
    texts = row["extra_info"]["options"]
    turned = row["extra_info"] | {
        "options": [
            {"letter": option["letter"], "text": texts[place - 1]["text"]} for place, option in enumerate(texts)
        ]
    }
    gold = row["reward_model"]["ground_truth"]
    samples = [
        answer(row, 0, True),
        answer(row, 0, False, asked_as="short_answer"),
        answer(row, 0, False, gold, asked_as="other_order_1", extra_info=turned, ground_truth="?"),
    ]
    counted = from_evaluation(write_evaluation(tmp_path / "eval", samples), rows)
    (found,) = counted.answers.values()
    assert (found.rate.right, found.rate.samples) == (1, 2) and found.is_lucky
    # The same letter is another text in another order.
    assert len(found.said) == 2
    report = run_selection(data, tmp_path / "out", Selection(), tmp_path / "eval")
    assert report["sources"]["quickstart-mcq"]["questions"]["right as prepared, not under most orders"] == 1


def test_candidates_for_wrong_labels_are_listed_kept_and_readable_as_overrides(data: Path, tmp_path: Path) -> None:
    rows, out = rows_of(data), tmp_path / "out"
    by_type = {row["extra_info"]["answer_type"]: row for row in rows}
    open_row, calculation, choice = (by_type[name] for name in ("open_ended", "calculation", "multiple_choice"))
    samples = [
        *(answer(open_row, number, False, 'zinc, or "iron"\n') for number in range(4)),  # agrees
        *(answer(calculation, number, False, str(number)) for number in range(4)),  # does not
        *(answer(choice, number, number == 0, "A") for number in range(4)),  # is right once
    ]
    report = run_selection(data, out, Selection(), write_evaluation(tmp_path / "eval", samples))
    overrides = read_overrides(out / "label_candidates.csv")
    key = (open_row["data_source"], open_row["extra_info"]["row_id"])
    assert list(overrides) == [key] and report["label_candidates"] == 1
    assert find_override(overrides, *key, open_row["reward_model"]["ground_truth"]) is not None
    assert overrides[key].corrected == "" and "zinc" in overrides[key].reason
    assert key[1] in {row["extra_info"]["row_id"] for row in rows_of(out / "train.parquet")}
    with (out / "label_candidates.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 1


def test_few_samples_or_few_answers_make_no_candidate(data: Path, tmp_path: Path) -> None:
    rows = rows_of(data)
    samples = [answer(rows[0], number, False, "same") for number in range(3)]
    samples += [answer(rows[1], number, False) | {"pred": "" if number else "same"} for number in range(4)]
    report = run_selection(data, tmp_path / "out", Selection(), write_evaluation(tmp_path / "eval", samples))
    assert report["label_candidates"] == 0


# ------------------------------------------------------------------ rollouts


def write_rollouts(run: Path, steps: dict[int, list[tuple[Row, bool]]], **changes: Any) -> Path:
    (run / "rollouts").mkdir(parents=True)
    OmegaConf.save({"actor_rollout_ref": {"model": {"path": "warm"}}}, run / "config.yaml")
    for step, answers in steps.items():
        lines = [
            {
                "input": "".join(f"{message['role']}\n{message['content']}\n" for message in row["prompt"]),
                "output": "",
                "gts": row["reward_model"]["ground_truth"],
                "data_source": row["data_source"],
                "row_id": row["extra_info"]["row_id"],
                "acc": float(right),
                "error": 0.0,
                "pred": "x",
            }
            | changes
            for row, right in answers
        ]
        (run / "rollouts" / f"{step}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


def test_pass_rates_come_from_rollouts_and_the_rest_keeps_its_earlier_one(data: Path, tmp_path: Path) -> None:
    rows = rows_of(data)
    first = tmp_path / "first"
    run_selection(data, first, Selection(edges=(0.5,)), write_evaluation(tmp_path / "eval", graded(rows)))
    steps = {step: [(rows[0], step > 8)] * 8 for step in (8, 9, 10)}
    run, second = write_rollouts(tmp_path / "run", steps), tmp_path / "second"
    report = run_selection(first / "train.parquet", second, Selection(edges=(0.5,)), rollouts=run, last_steps=2)
    found = [row["extra_info"] for row in rows_of(second / "train.parquet")]
    # Step 8 does not count, and the others were right: L2 has become L1.
    assert (found[0]["pass_rate"], found[0]["pass_samples"], found[0]["level"]) == (1.0, 16, "L1")
    assert [(info["pass_rate"], info["pass_samples"]) for info in found[1:]] == [
        (place % 5 / 4, 4) for place in range(1, ROWS)
    ]
    assert report["origin"] == {"rollouts": str(run), "model": "warm", "first_step": 9, "last_step": 10}
    assert len(found) == ROWS and list(found[0]).count("level") == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"row_id": ""}, "answers without a row_id"),
        ({"input": "user\nAnother?\n"}, "another prompt for row"),
        ({"gts": "?"}, "another gold answer"),
    ],
)
def test_rollouts_of_other_questions_are_refused(data: Path, tmp_path: Path, changes: Row, sentence: str) -> None:
    rows = rows_of(data)
    with pytest.raises(ValueError, match=sentence):
        from_rollouts(write_rollouts(tmp_path / "run", {1: [(rows[0], True)]}, **changes), rows)


def test_a_run_without_rollouts_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no rollouts/STEP\.jsonl; set trainer\.rollout_data_dir"):
        from_rollouts(write_rollouts(tmp_path / "run", {}), rows_of(data))


def test_rollouts_of_dynamic_sampling_are_refused(data: Path, tmp_path: Path) -> None:
    rows = rows_of(data)
    run = write_rollouts(tmp_path / "run", {1: [(rows[0], True)]})
    OmegaConf.save({"algorithm": {"filter_groups": {"enable": True}}}, run / "config.yaml")
    with pytest.raises(ValueError, match=r"\(algorithm\.filter_groups\), .* no fair sample; take an --evaluation"):
        from_rollouts(run, rows)


# ------------------------------------------------------------------ the command


def test_the_command_prints_tables_or_json(data: Path, tmp_path: Path) -> None:
    folder = write_evaluation(tmp_path / "eval", graded(rows_of(data)))
    arguments = ["select", "--data", str(data), "--evaluation", str(folder), "--levels", "3", "--band", "0.1:0.9"]
    shown = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "a")])
    assert shown.exit_code == 0, shown.output
    assert "quickstart-calc" in shown.stdout and "L3" in shown.stdout
    # Four samples can't show that a question is outside of the band.
    assert "--band 0.1:0.9 can't leave a question out: with 4 samples" in shown.stderr
    as_json = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "b"), "--json"])
    report = json.loads(as_json.stdout)
    assert report["band_without_effect"] and report["sources"]["quickstart-mcq"]["questions"]["selected"] == 10
    assert (tmp_path / "a" / "train.parquet").read_bytes() == (tmp_path / "b" / "train.parquet").read_bytes()
    again = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "a")])
    assert "an earlier data set was replaced (train.parquet)" in again.stderr


def test_the_command_names_what_is_empty_and_why(data: Path, tmp_path: Path) -> None:
    rows = rows_of(data)
    hard = {"quickstart-calc": 0, "quickstart-mcq": 4, "quickstart-open": 0}
    samples = [answer(row, number, number < hard[row["data_source"]]) for row in rows for number in range(4)]
    folder = write_evaluation(tmp_path / "eval", samples)
    common = ["select", "--data", str(data), "--evaluation", str(folder), "--confidence", "0"]
    shown = CliRunner().invoke(app, [*common, "--edges", "0.25,0.75", "--band", "0.1:1", "--out", str(tmp_path / "a")])
    assert shown.exit_code == 0, shown.output
    assert "Data source quickstart-calc has no question left: 10 too hard (--band).\n" in shown.stderr
    assert "Level L2 (pass rates 0.25 to 0.75) has no question: none was measured to have such a" in shown.stderr
    assert "Level L3 (pass rates 0.00 to 0.25) has no question left: 20 too hard (--band).\n" in shown.stderr
    assert "L1" not in shown.stderr and "quickstart-mcq" not in shown.stderr
    whole = CliRunner().invoke(app, [*common, "--edges", "0.5", "--out", str(tmp_path / "b")])
    assert whole.exit_code == 0 and "no question" not in whole.stderr
    none = CliRunner().invoke(app, [*common, "--band", "0.4:0.6", "--levels", "2", "--out", str(tmp_path / "c")])
    assert none.exit_code != 0
    assert str(none.exception).startswith("No question is left: 20 too hard (--band), 10 too easy (--band); give a wid")
    assert not (tmp_path / "c").exists()


def test_confidence_zero_takes_the_share_as_it_is(data: Path, tmp_path: Path) -> None:
    folder = write_evaluation(tmp_path / "eval", graded(rows_of(data)))
    report = run_selection(data, tmp_path / "out", Selection(band=(0.1, 0.9), confidence=0), folder)
    assert not report["band_without_effect"]
    questions = [source["questions"] for source in report["sources"].values()]
    assert sum(counts["too hard"] for counts in questions) == sum(counts["too easy"] for counts in questions) == 6


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "Give --evaluation or --rollouts, one of them"),
        ({"evaluation": Path("a"), "rollouts": Path("b")}, "Give --evaluation or --rollouts, one of them"),
        ({"evaluation": Path("a"), "last_steps": 3}, "--last-steps is 3, and is for --rollouts"),
        ({"evaluation": Path("a"), "band": "0.1-0.9"}, "--band is '0.1-0.9'; write LOW:HIGH"),
        ({"evaluation": Path("a"), "edges": "a,b"}, "--edges is 'a,b'; write pass rates with commas"),
        ({"evaluation": Path("a"), "cap": ["MedQA"]}, r"--cap is \['MedQA'\]; write NAME=N"),
        ({"evaluation": Path("nowhere")}, "nowhere has no summary.json; make it with `medu1 eval --out nowhere`"),
        ({"rollouts": Path("nowhere")}, "RUN_DIR nowhere is not a folder"),
    ],
)
def test_wrong_options_are_refused(data: Path, tmp_path: Path, changes: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        select_command(data, tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def write_table(file: Path, rows: list[Row]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), file)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda file, rows: file.unlink(), "does not exist"),
        (lambda file, rows: file.write_text("no"), "is not a parquet file"),
        (lambda file, rows: write_table(file, [{"prompt": "x"}]), "has no column data_source"),
        (lambda file, rows: write_table(file, [row | {"extra_info": "x"} for row in rows]), "no column extra_info.row"),
        (lambda file, rows: write_table(file, [rows[0], rows[0]]), "twice"),
        (
            lambda file, rows: file.write_bytes((file.parent / "test.parquet").read_bytes()),
            "has .* test rows, which nothing may be trained on; give the train.parquet",
        ),
    ],
)
def test_a_broken_file_is_refused(data: Path, tmp_path: Path, spoil: Callable[..., None], sentence: str) -> None:
    rows = rows_of(data)
    folder = write_evaluation(tmp_path / "eval", graded(rows))
    spoil(data, rows)
    with pytest.raises(ValueError, match=sentence):
        run_selection(data, tmp_path / "out", Selection(), folder)


def test_nothing_is_written_if_no_question_is_left_or_over_the_data(data: Path, tmp_path: Path) -> None:
    rows = rows_of(data)
    folder = write_evaluation(tmp_path / "eval", [answer(row, number, False) for row in rows for number in range(40)])
    with pytest.raises(ValueError, match=rf"No question is left: {ROWS} too hard \(--band\); give a wider --band"):
        run_selection(data, tmp_path / "out", Selection(band=(0.5, 1)), folder)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="is the folder of --data, whose files would be replaced"):
        select_command(data, data.parent, evaluation=folder)
    assert len(rows_of(data)) == ROWS


def test_columns_of_others_stay(data: Path, tmp_path: Path) -> None:
    rows = [row | {"agent_name": "tool", "images": [{"bytes": b"x"}]} for row in rows_of(data)]
    write_table(data, rows)
    run_selection(data, tmp_path / "out", Selection(), write_evaluation(tmp_path / "eval", graded(rows)))
    selected = rows_of(tmp_path / "out" / "train.parquet")
    assert all(row["agent_name"] == "tool" and row["images"] == [{"bytes": b"x"}] for row in selected)
