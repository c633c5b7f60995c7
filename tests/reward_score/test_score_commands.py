import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from reward_score import compute_score
from verl_medu1.cli.score import score
from verl_medu1.cli.validate import validate
from verl_medu1.evaluate.questions import AS_PREPARED, Question
from verl_medu1.evaluate.scoring import Response, call_of, sample_of

WELL_FORMED = "<think>a</think><answer>{}</answer>"


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command("score")(score)
    app.command("validate")(validate)
    return app


def prepared_row(row_id: str, source: str, gold: str, **info: Any) -> dict[str, Any]:
    extra_info = {"row_id": row_id, "options": [], "lower_limit": None, "upper_limit": None, "unit": None} | info
    return {"data_source": source, "reward_model": {"style": "rule", "ground_truth": gold}, "extra_info": extra_info}


def options(*texts: str) -> list[dict[str, str]]:
    return [{"letter": letter, "text": text} for letter, text in zip("ABCDE", texts, strict=False)]


@pytest.fixture
def responses(tmp_path: Path) -> Path:
    rows = [
        {"data_source": "MedQA", "response": WELL_FORMED.format("(b)"), "ground_truth": "B"},
        {"data_source": "MedQA", "response": "<answer>B</answer>", "ground_truth": "B", "extra_info": None},
        {"data_source": "MedCalc-Bench", "response": WELL_FORMED.format("500 mg"), "ground_truth": "0.5",
         "extra_info": {"row_id": "dose-7", "unit": "g"}},
    ]  # fmt: skip
    path = tmp_path / "responses.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    return path


def test_score_prints_a_table_by_source(app: typer.Typer, responses: Path) -> None:
    result = CliRunner().invoke(app, ["score", str(responses)])
    assert result.exit_code == 0, result.output
    lines = {line.split()[1]: line.split()[3::2] for line in result.output.splitlines() if line.startswith("│")}
    assert lines["MedQA"] == ["2", "0.500", "1.000", "0.500", "1.000", "0.000"]
    assert lines["MedCalc-Bench"] == ["1", "1.000", "1.000", "1.000", "1.000", "0.000"]
    assert lines["all"][0] == "3"


def test_score_as_json_from_a_file_standard_input_and_parquet(
    app: typer.Typer, responses: Path, tmp_path: Path
) -> None:
    from_file = CliRunner().invoke(app, ["score", str(responses), "--json"])
    from_stdin = CliRunner().invoke(app, ["score", "-", "--json"], input=responses.read_bytes())
    rows = [json.loads(line) for line in responses.read_text().splitlines() if line]
    for row in rows:
        row["extra_info"] = row.get("extra_info") or {"row_id": None, "unit": None}
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "responses.parquet")
    from_parquet = CliRunner().invoke(app, ["score", str(tmp_path / "responses.parquet"), "--json"])
    assert from_file.output == from_stdin.output == from_parquet.output
    scored = [json.loads(line) for line in from_file.output.splitlines()]
    assert [(row["row"], row["score"], row["acc"]) for row in scored] == [("0", 1, 1), ("1", 0, 1), ("dose-7", 1, 1)]


def sample(question: Question, text: str, tokens: int = 30) -> dict[str, Any]:
    """A row of samples.jsonl."""
    response = Response(text, tokens, counted_tokens=tokens, truncated=False)
    return sample_of(question, response, 0, compute_score(**call_of(question, response)))


def question(source: str, gold: str, asked_as: str = AS_PREPARED, **info: Any) -> Question:
    extra_info = prepared_row("1", source, gold, budget_mode="none", budget_tokens=0, **info)["extra_info"]
    return Question("1", source, [], gold, extra_info, asked_as)


@pytest.mark.parametrize(
    ("asked", "answer", "acc"),
    [
        (question("MedQA", "B", options=options("heparin", "aspirin")), "aspirin", 1.0),
        (question("MedQA", "B", options=options("heparin", "aspirin")), "heparin", 0.0),
        (question("MedCalc-Bench", "0.5", unit="g"), "500 mg", 1.0),
        (question("MedCalc-Bench", "100", lower_limit=80.0, upper_limit=120.0), "82", 1.0),
        (question("MedQA", "B", "short_answer", options=options("heparin", "aspirin")), "aspirin", 1.0),
        (question("MedQA", "B", "short_answer", options=options("heparin", "aspirin")), "B", 0.0),
        (question("MedQA", "B", "ranked_list", options=options("heparin", "aspirin")), "B > A", 1.0),
    ],
)
def test_samples_of_an_evaluation_are_scored_as_the_evaluation_did(
    app: typer.Typer, tmp_path: Path, asked: Question, answer: str, acc: float
) -> None:
    row = sample(asked, WELL_FORMED.format(answer))
    (tmp_path / "samples.jsonl").write_text(json.dumps(row))
    result = CliRunner().invoke(app, ["score", str(tmp_path / "samples.jsonl"), "--json"])
    scored = json.loads(result.output)
    assert (row["acc"], scored.pop("row")) == (acc, "1")
    assert scored == {name: row[name] for name in scored}


@pytest.mark.parametrize(("failed", "score"), [("", -1.0), ("reader: timeout", 0.0)])
def test_samples_with_a_reader_are_scored_by_what_it_replied(
    app: typer.Typer, tmp_path: Path, failed: str, score: float
) -> None:
    asked = question("MedQA", "B", options=options("heparin", "aspirin"))
    replies = {"answer": WELL_FORMED.format("A"), "naive_answer": WELL_FORMED.format("B"), "failed": failed}
    episode = {"spans": [], "said": [], "ended": "answered", "calls": 1, "invalid": 0, "failed": 0}
    episode["facts"] = {"reading": {"reader": "r", **replies}}
    response = Response(WELL_FORMED.format("B"), 30, 30, truncated=False, episode=episode)
    row = sample_of(asked, response, 0, compute_score(**call_of(asked, response)))
    (tmp_path / "samples.jsonl").write_text(json.dumps(row))
    result = CliRunner().invoke(app, ["score", str(tmp_path / "samples.jsonl"), "--json"])
    scored = json.loads(result.output)
    assert scored.pop("row") == "1" and row["score"] == scored["score"] == score
    assert scored == {name: row[name] for name in scored} and scored["reader_failed"] == float(bool(failed))
    table = CliRunner().invoke(app, ["score", str(tmp_path / "samples.jsonl")]).output
    assert ("left out: 1 answers without a verdict of the judge or a reply of the reader" in table) == bool(failed)


def test_the_release_scheme_takes_the_tokens_of_a_sample(app: typer.Typer, tmp_path: Path) -> None:
    asked = question("MedQA", "B", options=options("heparin", "aspirin"))
    asked.extra_info.update(budget_mode="max", budget_tokens=280)
    row = sample(asked, WELL_FORMED.format("B"))
    file = tmp_path / "samples.jsonl"
    file.write_text(json.dumps(row))
    scored = json.loads(CliRunner().invoke(app, ["score", str(file), "--json", "--scheme", "release"]).output)
    assert (scored["score"], scored["error"]) == (2.5, 0.0)

    file.write_text(json.dumps({name: value for name, value in row.items() if name != "counted_tokens"}))
    result = CliRunner().invoke(app, ["score", str(file), "--scheme", "release"])
    assert isinstance(result.exception, ValueError)
    assert "row 0 has a budget" in str(result.exception) and "'counted_tokens'" in str(result.exception)


def test_a_sample_in_another_format_needs_its_options(app: typer.Typer, tmp_path: Path) -> None:
    row = {"data_source": "MedQA", "asked_as": "ranked_list", "ground_truth": "B", "response": "B > A"}
    (tmp_path / "samples.jsonl").write_text(json.dumps(row))
    result = CliRunner().invoke(app, ["score", str(tmp_path / "samples.jsonl")])
    assert isinstance(result.exception, ValueError)
    assert "'ranked_list' and has no extra_info.options" in str(result.exception)


@pytest.mark.parametrize("row", ["dose-7", "2"])
def test_explain_shows_what_was_read(app: typer.Typer, responses: Path, row: str) -> None:
    result = CliRunner().invoke(app, ["score", str(responses), "--explain", row])
    assert result.exit_code == 0, result.output
    for part in ("500 mg", "0.5", "well-formed", "within"):
        assert part in result.output


def test_explain_names_the_items_of_a_checklist(app: typer.Typer, tmp_path: Path) -> None:
    items = [{"statement": "Says [b]rest[/b]", "aliases": ["rest"]}, {"statement": "Names 5 mg", "number": 5}]
    items += [{"statement": "Advises aspirin", "aliases": ["aspirin"], "must_not": True}]
    row = {"data_source": "own-open_ended", "ground_truth": "Rest.", "extra_info": {"checklist": items}}
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(row | {"response": WELL_FORMED.format("Rest. Take aspirin.")}))
    result = CliRunner().invoke(app, ["score", str(file), "--explain", "0"])
    assert result.exit_code == 0, result.output
    for part in ("yes: Says [b]rest[/b]", "no: Names 5 mg", "yes (must not): Advises aspirin"):
        assert part in result.output


def test_validate_accepts_right_gold_answers(app: typer.Typer, tmp_path: Path) -> None:
    rows = [
        prepared_row("a", "quickstart-mcq", "B", options=options("x", "y")),
        prepared_row("b", "quickstart-calc", "25.238", lower_limit=23.9, upper_limit=26.5, unit="mL/min"),
        prepared_row("c", "quickstart-open", "Myocardial infarction"),
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    result = CliRunner().invoke(app, ["validate", str(tmp_path / "rows.parquet")])
    assert (result.exit_code, "All 3" in result.output) == (0, True), result.output


def test_validate_names_the_rows_that_fail(app: typer.Typer, tmp_path: Path) -> None:
    rows = [
        prepared_row("fine", "quickstart-mcq", "B", options=options("x", "y")),
        prepared_row("bad-letter", "quickstart-mcq", "E", options=options("x", "y")),
        prepared_row("bad-limit", "quickstart-calc", "25", lower_limit=30.0, upper_limit=40.0),
        prepared_row("bad-source", "nope", "B"),
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["validate", str(tmp_path / "rows.parquet")])
    assert result.exit_code == 1
    assert "3 of 4" in result.output
    assert "fine" not in result.output
    for row_id in ("bad-letter", "bad-limit", "bad-source"):
        assert row_id in result.output


def test_validate_names_a_gold_answer_whose_corruption_is_right_too(app: typer.Typer, tmp_path: Path) -> None:
    rows = [
        prepared_row("fine", "quickstart-mcq", "B", options=options("x", "y")),
        prepared_row("wide", "quickstart-calc", "25", lower_limit=-100.0, upper_limit=100.0),
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["validate", str(tmp_path / "rows.parquet")])
    assert result.exit_code == 1
    assert "1 of 2" in result.output and "another value is accepted too" in result.output
    rates = {
        cells[0]: cells[1:] for line in result.output.splitlines() if len(cells := line.strip("│ ").split("  │ ")) > 1
    }
    by_kind = {kind.strip(): [cell.strip() for cell in cells] for kind, cells in rates.items()}
    assert by_kind["another value"] == ["1", "1", "100.0"] and by_kind["a denial"] == ["2", "0", "0.0"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.jsonl", None, "does not exist"),
        ("rows.csv", b"a,b", "must end in"),
        ("rows.jsonl", b'{"data_source": "MedQA"}\n{', "no column 'response'"),
        ("rows.jsonl", b"{", "line 1: not JSON"),
        ("rows.jsonl", b"\xff\xfe", "line 1: not JSON"),
        ("rows.jsonl", b"[1]", "must be an object"),
        ("rows.jsonl", b'{"data_source": "MedQA", "response": "x"}', "ground_truth"),
        ("rows.jsonl", b"", "has no rows"),
        ("rows.parquet", b"PAR1 truncated", "not a readable parquet"),
    ],
)
def test_a_bad_file_is_one_sentence(
    app: typer.Typer, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    result = CliRunner().invoke(app, ["score", str(tmp_path / name)])
    assert isinstance(result.exception, ValueError)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)


def test_unknown_scheme_and_row(app: typer.Typer, responses: Path) -> None:
    for arguments in (["--scheme", "nope"], ["--explain", "99"]):
        result = CliRunner().invoke(app, ["score", str(responses), *arguments])
        assert isinstance(result.exception, ValueError)
