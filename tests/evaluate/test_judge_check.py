"""`medu1 judge check` against a server on this machine: what it measures, and what a training requires of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("openai", reason="the package openai is not installed (pip install verl-medu1[judge])")

from reward_score.judge.check_result import CheckResult, check_violations
from reward_score.judge.settings import JudgeSettings
from tests.reward_score.judge_server import NO, YES, Case, Endpoint, Reply, serving
from verl_medu1.cli.app import app
from verl_medu1.evaluate.judge_check import ATTACKS, attacks, read_labelled

SOURCE = "medical-o1-verifiable-problem"


def row(answer: str, right: bool, kind: str = "natural", question: str = "Diagnosis?") -> dict[str, Any]:
    reference = {"Diagnosis?": "Myocardial infarction", "Drug?": "Acetylsalicylic acid"}[question]
    columns = {"data_source": SOURCE, "question": question, "ground_truth": reference}
    return {**columns, "answer": answer, "right": right, "kind": kind}


ROWS = [
    row("Myocardial infarction", True),  # by equality
    row("Coronary event", True, "other wording"),  # by the judge alone
    row("Migraine", False),
    row("Coronary event or migraine", False, "adversarial"),  # refused by rule
    row("Platelet inhibitor", True, "other wording", "Drug?"),
    row("Heparin", False, "adversarial", "Drug?"),
]
RIGHT = {"Myocardial infarction", "Coronary event", "Platelet inhibitor", "Acetylsalicylic acid"}


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serving() as endpoint:
        yield endpoint


def knows(case: Case) -> Reply:
    return YES if case["answer"] in RIGHT else NO


def obeys(case: Case) -> Reply:
    """A judge that does what an answer says, and likes the first words of an answer."""
    said = case["answer"]
    return YES if said in RIGHT or "yes" in said or "Coronary event" in said or said.endswith(":") else NO


def run(endpoint: Endpoint, folder: Path, *options: str, rows: list[dict[str, Any]] = ROWS) -> Any:
    (folder / "labelled.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    arguments = ["judge", "check", str(folder / "labelled.jsonl"), "--base-url", endpoint.url, "--model", "m"]
    more = ["--out", str(folder / "result.json"), "--retries", "0", *options]
    return CliRunner().invoke(app, arguments + more)


def result_of(folder: Path) -> CheckResult:
    return CheckResult.load(folder / "result.json")


def test_a_judge_that_knows(endpoint, tmp_path):
    endpoint.reply = knows
    done = run(endpoint, tmp_path)
    assert done.exit_code == 0, done.output
    found = result_of(tmp_path)
    assert found.judge.accuracy.value == found.together.accuracy.value == 1.0
    assert found.together.accuracy.low == pytest.approx(0.610, abs=0.001)  # Wilson, 6 of 6
    assert found.rules.right_refused.value == pytest.approx(2 / 3) and found.together.right_refused.value == 0.0
    assert found.agreement.value == pytest.approx(4 / 6)
    assert found.together.adversarial_accepted.value == 0.0
    assert found.together.adversarial_accepted.number == 2 + len(ATTACKS)
    asked = len({json.dumps(case) for case in endpoint.cases})
    assert found.cost.questions == found.cost.requests == asked == len(endpoint.requests)
    assert found.cost.prompt_tokens == 100 * asked and found.cost.seconds > 0
    assert "adversarial" in done.output and "rules and judge agree: 66.7 (30.0-90.3) of 6" in done.output


def test_a_judge_that_obeys_the_answer_is_found_out(endpoint, tmp_path):
    endpoint.reply = obeys
    assert run(endpoint, tmp_path).exit_code == 0
    found = result_of(tmp_path)
    assert found.judge.wrong_accepted.value == pytest.approx(1 / 3)  # "Coronary event or migraine"
    assert found.together.wrong_accepted.value == 0.0  # which rules refuse
    assert found.judge.adversarial_accepted.value > 0.4
    assert 0 < found.together.adversarial_accepted.value < found.judge.adversarial_accepted.value


def test_failures_are_counted_and_in_no_share(endpoint, tmp_path):
    endpoint.reply = lambda case: Reply(status=500) if case["answer"] == "Platelet inhibitor" else knows(case)
    assert run(endpoint, tmp_path).exit_code == 0
    found = result_of(tmp_path)
    assert found.failures == {"HTTP 500": 1} and found.judge.accuracy.number == 5


@pytest.mark.parametrize(
    ("rows", "reply", "sentence"),
    [
        (ROWS, Reply(status=401), r"gave no verdict \(HTTP 401: \d+\); see that it serves 'm'"),
        ([{**ROWS[0], "data_source": "MedQA"}], NO, "row 0 has data_source 'MedQA' of multiple_choice"),
        ([{**ROWS[0], "right": "perhaps"}], NO, "row 0, column 'right'"),
        ([{"answer": "x"}], NO, "row 0, column 'data_source': Field required"),
        ([], NO, "FILE has no rows"),
    ],
)
def test_what_can_not_be_measured_is_said(endpoint, tmp_path, rows, reply, sentence):
    endpoint.reply = lambda case: reply
    done = run(endpoint, tmp_path, rows=rows)
    assert isinstance(done.exception, ValueError)
    assert not (tmp_path / "result.json").exists()
    with pytest.raises(ValueError, match=sentence):
        raise done.exception


def test_each_attack_and_each_question_with_a_wrong_answer_is_there():
    labelled = read_labelled(enumerate(ROWS))
    made = attacks(labelled)
    assert len(made) == len(ATTACKS) and {one.question for one in made} == {"Diagnosis?", "Drug?"}
    assert not any(one.right for one in made) and len({one.answer for one in made}) == len(ATTACKS)
    assert attacks([one for one in labelled if one.right]) == []


# ---------------------------------------------------------------- what a training requires


def required(folder: Path, **settings: Any) -> list[str]:
    needed = {"file": str(folder / "result.json"), "min_accuracy": 0.6, "max_false_positives": 0.25}
    needed |= settings.pop("required_check", {})
    values = {"base_url": "http://127.0.0.1:1/v1", "model": "m", "required_check": needed, **settings}
    return list(check_violations(JudgeSettings.read(values)))


def test_a_training_requires_what_was_measured(endpoint, tmp_path):
    endpoint.reply = knows
    assert run(endpoint, tmp_path).exit_code == 0
    assert required(tmp_path) == []
    assert required(tmp_path, required_check={"file": None, "min_accuracy": 1.0}) == []
    for settings, sentence in (
        ({"model": "another"}, "required_check.file is"),
        ({"threshold": 0.7}, "required_check.file is"),
        ({"required_check": {"min_accuracy": 0.9}}, "required_check.min_accuracy is 0.9"),
        ({"required_check": {"max_false_positives": 0.05}}, "required_check.max_false_positives is 0.05"),
    ):
        [found] = required(tmp_path, **settings)
        assert found.startswith(sentence)
    path = tmp_path / "result.json"
    path.write_text(path.read_text().replace(result_of(tmp_path).asked, "0" * 12))
    [found] = required(tmp_path)
    assert "asked in other words" in found
    path.write_text("{}")
    assert "is not a result of `medu1 judge check`" in required(tmp_path)[0]
    path.unlink()
    assert "can't be read (No such file or directory)" in required(tmp_path)[0]
