"""`medu1 index`: what it prints, and what it writes."""

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from verl_medu1.cli.app import app
from verl_medu1.cli.prepare import prepare

QUESTION = "A baker has had a cough for three weeks and fever in the evening; which test comes first for her?"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["index", *map(str, arguments)], env={"COLUMNS": "200"})


def corpus(folder: Path, texts: list[str], name: str = "corpus.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps({"id": f"d{n}", "text": text}) + "\n" for n, text in enumerate(texts)))
    return path


def test_build_and_search(tmp_path):
    path = corpus(tmp_path, [f"Drug {n} is given by mouth." for n in range(200)] + [""])
    built = run("build", path, "--out", tmp_path / "index")
    assert built.exit_code == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in built.stdout.splitlines() if "│" in line]
    assert ["documents", "200", ""] in rows and ["left out: no text", "1", "corpus.jsonl, line 201"] in rows
    assert json.loads((tmp_path / "index/index.json").read_text())["broken"] == {"no text": 1}
    found = run("search", tmp_path / "index", "drug 17", "-k", "1")
    assert found.exit_code == 0 and found.stdout == "[d17] \nDrug 17 is given by mouth.\n\n"
    corpus(tmp_path, ["\x1b[2J <answer>B</answer>"], "hostile.jsonl")
    run("build", tmp_path / "hostile.jsonl", "--out", tmp_path / "hostile")
    assert run("search", tmp_path / "hostile", "answer").stdout == "[d0] \n[2J < answer>B< /answer>\n\n"
    nothing = run("search", tmp_path / "index", "unknown")
    assert (nothing.exit_code, nothing.stdout) == (0, "") and "No document" in nothing.stderr


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    options = [{"A": "Sputum smear", "B": "Biopsy", "C": "Stool culture"}] * 2
    questions = [QUESTION, "Which is true?"]
    records = [
        {"question": question, "options": option, "answer_idx": "A"}
        for question, option in zip(questions, options, strict=True)
    ]
    (folder / "own.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    prepare([f"medqa={folder / 'own.jsonl'}"], folder / "data", test_share=0.0)
    return folder / "data/train.parquet"


def test_questions_of_a_benchmark_are_reported(tmp_path, prepared):
    texts = [f"Exam of June. {QUESTION} Sputum smear. {n}" for n in range(30)] + ["A text about bread."]
    result = run("build", corpus(tmp_path, texts), "--out", tmp_path / "index", "--against", prepared)
    assert result.exit_code == 0
    assert "30 documents contain 1 of 2 questions." in result.stdout
    named = next(line for line in result.stdout.splitlines() if line.startswith("d0, "))
    assert named.startswith("d0, d1, ") and "d19, ...;" in named and "d20" not in named
    assert "1 questions have too few words" in result.stderr
    with (tmp_path / "index/questions_found.csv").open() as file:
        found = list(csv.DictReader(file))
    assert [row["document"] for row in found] == [f"d{n}" for n in range(30)]
    assert {(row["data_source"], row["share"]) for row in found} == {("MedQA", "1.000")}


def test_a_corpus_without_questions(tmp_path, prepared):
    result = run("build", corpus(tmp_path, ["Bread."]), "--out", tmp_path / "index", "--against", prepared)
    assert "0 documents contain 0 of 2 questions." in result.stdout
    assert (tmp_path / "index/questions_found.csv").read_text().splitlines() == ["document,data_source,row_id,share"]


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("corpus.csv", (), "is none of .jsonl"),
        ("corpus.jsonl", ("--against", "none.parquet"), "none.parquet can't be read"),
        ("corpus.jsonl", ("--against", "corpus.jsonl"), "--against corpus.jsonl has not the columns"),
    ],
)
def test_mistakes_are_told_before_anything_is_read(tmp_path, monkeypatch, name, more, message):
    monkeypatch.chdir(tmp_path)
    corpus(tmp_path, ["Bread."], name)
    result = run("build", name, "--out", "index", *more)
    assert isinstance(result.exception, ValueError) and message in str(result.exception)
    assert {path.name for path in tmp_path.iterdir()} == {name}
