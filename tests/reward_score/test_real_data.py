import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reward_score import check_gold, compute_score
from tests.real_data import real_file

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["medcalc", "mediq", "medxpertqa", "medical_o1"]


def wrap(answer: str) -> str:
    return f"<think>Because of the history.</think>\n<answer>{answer}</answer>"


def real_rows(name: str) -> list[tuple[str, str, dict[str, Any]]]:
    rows = json.loads(real_file(f"{name}.json").read_text(encoding="utf-8"))
    if name == "medcalc":
        limits = [{"lower_limit": row["Lower Limit"], "upper_limit": row["Upper Limit"]} for row in rows]
        return [("MedCalc-Bench", row["answer"], info) for row, info in zip(rows, limits, strict=True)]
    if name == "medical_o1":
        golds = [row["answer"].strip().removeprefix("<answer>").removesuffix("</answer>").strip() for row in rows]
        return [
            ("medical-o1-reasoning-SFT", gold, {"question": row["problem"]})
            for gold, row in zip(golds, rows, strict=True)
        ]
    source = {"mediq": "MedIQ", "medxpertqa": "MedXpertQA"}[name]
    return [(source, row["answer"], {"options": row.get("options") or row["choices"]}) for row in rows]


@pytest.mark.parametrize("name", NAMES)
def test_every_gold_answer_of_the_real_data_is_right(name: str) -> None:
    rows = real_rows(name)
    failed = [(gold, check_gold(source, gold, info)) for source, gold, info in rows if check_gold(source, gold, info)]
    assert not failed
    assert all(compute_score(source, wrap(gold), gold, info)["score"] == 1.0 for source, gold, info in rows)


@pytest.mark.parametrize("name", ["mediq", "medxpertqa"])
def test_each_option_of_the_real_data_in_many_dresses(name: str) -> None:
    for source, gold, info in real_rows(name):
        for letter, text in info["options"].items():
            for answer in (
                text,
                f"{letter}. {text}",
                f"({letter.lower()})",
                f"**{letter}**",
                f"The answer is {letter}: {text}",
            ):
                assert compute_score(source, wrap(answer), gold, info)["acc"] == float(letter == gold), answer


def test_labelled_answers() -> None:
    """What benchmarks/labelled_answers.py prints, held."""
    file = real_file("open_ended_labelled.jsonl")
    command = [sys.executable, str(ROOT / "benchmarks" / "labelled_answers.py"), str(file), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    found = {kind: parts["all"] for kind, parts in json.loads(done.stdout).items()}
    for kind, most in (("right: natural", 0.23), ("right: other wording", 0.33), ("right: model, term alone", 0.35)):
        wrong, total = found[kind]
        assert wrong <= most * total, kind
    assert sum(wrong for kind, (wrong, _) in found.items() if kind.startswith("wrong")) == 0


def test_cases_of_calculation_choice_and_parsing() -> None:
    path = real_file("scorer_cases.jsonl")
    options = {"A": "Renal failure", "B": "Hepatomegaly", "C": "Chorea", "D": "Pleural effusion"}
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        info = {"options": options} if row["extra_info"].startswith("options") else json.loads(row["extra_info"])
        response = row["answer"] if row["kind"].startswith("R") else wrap(row["answer"])
        assert compute_score(row["data_source"], response, row["gold"], info)["score"] == row["should_be"], row
    assert len(rows) == 90


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    """What benchmarks/scorers.py prints."""
    [folder] = {str(real_file(f"{name}.json").parent) for name in NAMES}
    command = [sys.executable, str(ROOT / "benchmarks" / "scorers.py"), folder, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_gold_answer_is_right_after_overrides(measured: dict[str, Any]) -> None:
    assert measured["gold"] == dict.fromkeys(("medcalc", "mediq", "medxpertqa", "medical-o1"), 100.0)


def test_hacks_earn_nothing_on_the_real_references(measured: dict[str, Any]) -> None:
    passes = dict(measured["hacks"])
    assert passes.pop("exact copy") == 100.0
    # Two of the thousand references are "Yes." and "(A) yes": there it is the right answer.
    assert passes.pop("yes") == pytest.approx(0.2)
    assert passes.pop("first 8 words of the reference") <= 1.0
    assert len(passes) == 9
    assert all(share <= 0.1 for share in passes.values()), passes


def test_the_published_rule_passes_constants_and_refuses_copies(measured: dict[str, Any]) -> None:
    passes = measured["hacks, published"]
    assert passes["is"] == pytest.approx(80.0) and passes["of"] == pytest.approx(71.1)
    assert passes["exact copy"] == pytest.approx(30.2)


def test_a_calculation_may_be_spelled_as_people_do(measured: dict[str, Any]) -> None:
    assert len(measured["spellings"]) == 21
    for name, (rows, share) in measured["spellings"].items():
        assert rows >= 20 and share >= 99.5, name


def test_values_just_outside_the_limits_are_wrong(measured: dict[str, Any]) -> None:
    assert measured["outside"] == 100.0


def test_a_unit_that_contradicts_the_question_is_wrong(measured: dict[str, Any]) -> None:
    assert measured["contradicted"] == 100.0


def test_no_response_of_a_megabyte_is_slow(measured: dict[str, Any]) -> None:
    assert len(measured["milliseconds"]) == 13
    assert max(measured["milliseconds"].values()) < 50
