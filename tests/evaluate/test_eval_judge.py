"""`medu1 eval`, `score` and `compare` with a judge: who is asked, what is left out, and what is refused."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner, Result

pytest.importorskip("openai", reason="the package openai is not installed")

from reward_score.judge.settings import JudgeSettings
from tests.reward_score.judge_server import NO, YES, Case, Endpoint, Reply, serving
from verl_medu1.cli.app import app
from verl_medu1.data.budget import Budget
from verl_medu1.data.example import Example
from verl_medu1.data.prompts import load_prompts
from verl_medu1.data.schema import QUESTIONS, question_row
from verl_medu1.evaluate.evaluation import Answerer, judge_of
from verl_medu1.evaluate.judging import PORTION, score_all
from verl_medu1.evaluate.questions import read_questions

FAILS = Reply(status=400)
OPEN, CHOICE = "own-open_ended", "own-multiple_choice"


@pytest.fixture
def judge() -> Iterator[Endpoint]:
    with serving() as endpoint:
        yield endpoint


@pytest.fixture
def model(tmp_path: Path) -> Iterator[str]:
    """The URL of a model that answers an open question with 12.5, and multiple choice with B."""
    (tmp_path / "model").mkdir()
    command = [sys.executable, str(Path(__file__).with_name("openai_server.py")), str(tmp_path / "model")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        process.terminate()


def verdicts(*replies: Reply) -> Callable[[Case], Reply]:
    """The judge's reply to the question that ends in a number."""
    return lambda case: replies[int(case["question"].rstrip("?").rpartition(" ")[2])]


def settings_file(folder: Path, judge: dict[str, Any] | None) -> Path:
    file = folder / "judge.yaml"
    file.write_text(yaml.safe_dump({"scoring": {"judge": judge}}))
    return file


def on(endpoint: Endpoint, **more: Any) -> dict[str, Any]:
    return {"base_url": endpoint.url, "model": "m", "retries": 0, **more}


def write_data(folder: Path, questions: int, choices: int = 0, choice_source: str = CHOICE) -> Path:
    options = (("A", "heparin"), ("B", "aspirin"))
    examples = [Example(OPEN, str(n), "open_ended", f"How much in case {n}?", "A dozen") for n in range(questions)]
    examples += [
        Example(choice_source, str(n), "multiple_choice", f"Which in case {n}?", "B", options) for n in range(choices)
    ]
    budget = Budget("none", 0, "response")
    rows = [
        question_row(one, load_prompts().messages(one, budget), budget, "test", n) for n, one in enumerate(examples)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=QUESTIONS), folder / "data.parquet")
    return folder / "data.parquet"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def evaluate(model: str, data: Path, out: Path, *options: object) -> Result:
    return run("eval", "--model", "m", "--endpoint", model, "--data", data, "--out", out, *options)


def sentence_of(result: Result) -> str:
    assert isinstance(result.exception, ValueError), result.output
    return str(result.exception)


# ---------------------------------------------------------------- eval


def test_the_judge_decides_and_what_it_does_not_decide_is_neither_right_nor_wrong(tmp_path, model, judge):
    judge.reply = verdicts(YES, YES, YES, NO, FAILS)
    file = settings_file(tmp_path, on(judge, max_failed_share=0.2))
    done = evaluate(model, write_data(tmp_path, 5, choices=2), tmp_path / "out", "--judge", file)
    assert done.exit_code == 0, done.output
    assert "Left out: 1 answers" in " ".join(done.output.split())
    assert len(judge.requests) == 5  # nothing is asked about multiple choice
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["judge"] == {"model": "m", "when": "undecided", "threshold": 0.5, "log_probs": True}
    found = {name: (one["questions"], one["left_out"], one["accuracy"]) for name, one in summary["data_source"].items()}
    assert found == {OPEN: (4, 1, 0.75), CHOICE: (2, 0, 1.0)}
    assert (summary["overall"]["questions"], summary["overall"]["left_out"], summary["overall"]["errors"]) == (6, 1, 0)
    samples = [json.loads(line) for line in (tmp_path / "out" / "samples.jsonl").read_text().splitlines()]
    assert [sample["judge_failed"] for sample in samples] == [0, 0, 0, 0, 1, 0, 0]


def test_rules_alone_ask_nobody(tmp_path, model, judge):
    done = evaluate(model, write_data(tmp_path, 2), tmp_path / "out", "--judge", "none")
    assert done.exit_code == 0, done.output
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["judge"] is None and summary["overall"]["accuracy"] == summary["overall"]["left_out"] == 0
    assert judge.requests == []


def test_too_many_failures_end_the_command_and_nothing_is_asked_of_the_model_twice(tmp_path, model, judge):
    judge.reply = verdicts(YES, FAILS, YES)
    data, file = write_data(tmp_path, 3), settings_file(tmp_path, on(judge, max_failed_share=0.3))
    sentence = sentence_of(evaluate(model, data, tmp_path / "out", "--judge", file))
    assert sentence == (
        "the judge gave no verdict on 1 of the latest 3 answers, and scoring.judge.max_failed_share is 0.3 (judge: "
        "HTTP 400: 1); see that its server answers, then run the same command again"
    )
    assert not (tmp_path / "out" / "summary.json").exists()
    judge.reply = verdicts(YES, YES, YES)
    done = evaluate(model, data, tmp_path / "out", "--judge", file)
    assert done.exit_code == 0 and len((tmp_path / "model" / "log.jsonl").read_text().splitlines()) == 3


def test_a_judge_that_is_down_ends_the_command_after_a_portion(judge):
    judge.reply = lambda case: FAILS
    call = {"data_source": OPEN, "ground_truth": "A dozen"}
    calls = [
        {
            **call,
            "solution_str": f"<think>So.</think><answer>about {n}</answer>",
            "extra_info": {"question": "How much?"},
        }
        for n in range(2 * PORTION)
    ]
    with pytest.raises(ValueError, match=f"no verdict on {PORTION} of the latest {PORTION} answers"):
        score_all(calls, JudgeSettings.read(on(judge)))
    assert len(judge.requests) == PORTION


def test_credentialed_rows_are_sent_to_no_other_machine(tmp_path, model):
    data = write_data(tmp_path, 1, choices=1, choice_source="EHRNoteQA")
    file = settings_file(tmp_path, {"base_url": "https://example.org/v1", "model": "m"})
    assert sentence_of(evaluate(model, data, tmp_path / "out", "--judge", file)) == (
        f"{file}: scoring.judge.base_url is 'https://example.org/v1', and the data has rows of EHRNoteQA, which may "
        "not leave this machine; serve the judge on 127.0.0.1, or set it to null."
    )
    assert not (tmp_path / "model" / "log.jsonl").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "judge.yaml can't be read (No such file or directory); give a YAML file with scoring.judge.base_url"),
        ("a: [", "judge.yaml can't be read (while parsing a flow node"),
        ("- 1", "judge.yaml has no scoring.judge.base_url; give a YAML file"),
        ("scoring: {judge: {model: m}}", "judge.yaml has no scoring.judge.base_url; give a YAML file"),
        (
            "scoring: {judge: {base_url: x, model: m}}",
            "scoring.judge.base_url is 'x'; give an address that",
        ),
        (
            "scoring: {judge: {base_url: 'http://h', model: m, often: 1}}",
            "judge.yaml: scoring.judge.often is not",
        ),
        (
            "scoring: {judge: {base_url: 'http://h', model: m, required_check: {file: none.json}}}",
            "judge.yaml: scoring.judge.required_check.file: 'none.json' can't be read",
        ),
    ],
)
def test_a_judge_that_cannot_be_used_is_one_sentence(tmp_path, text, sentence):
    file = tmp_path / "judge.yaml"
    if text is not None:
        file.write_text(text)
    data = write_data(tmp_path, 1)
    assert sentence in sentence_of(evaluate("http://127.0.0.1:9/v1", data, tmp_path / "out", "--judge", file))
    assert not (tmp_path / "out").exists()


def test_without_an_option_it_is_the_judge_of_the_models_run(tmp_path):
    checkpoint = tmp_path / "run" / "checkpoints" / "global_step_3" / "actor"
    checkpoint.mkdir(parents=True)
    config = tmp_path / "run" / "config.yaml"
    questions = read_questions(write_data(tmp_path, 1))

    def found(given: str | None, model: Path = checkpoint, url: str | None = None) -> JudgeSettings | None:
        return judge_of(given, Answerer(str(model), url), questions, "data")

    assert found(None) is None  # no config.yaml
    config.write_text("scoring:\n  judge:\n    base_url: null\n    model: ''\n")
    assert found(None) is None
    config.write_text("address: http://127.0.0.1:1/v1\nscoring:\n  judge:\n    base_url: ${address}\n    model: m\n")
    settings = found(None)
    assert settings is not None and (settings.base_url, settings.model) == ("http://127.0.0.1:1/v1", "m")
    assert found("none") is None and found(None, tmp_path) is None and found(None, url="http://127.0.0.1:1") is None
    config.write_text(config.read_text() + "    api_key_env: MEDU1_NO_KEY\n")
    with pytest.raises(
        ValueError, match=r"config\.yaml: scoring\.judge\.api_key_env is .* rules alone with --judge none"
    ):
        found(None)
    # Nothing to ask it about: it is left out, and need not be there any more.
    questions = read_questions(write_data(tmp_path, 0, choices=1))
    assert found(None) is None


def test_a_checklist_needs_a_judge(tmp_path):
    data = write_data(tmp_path, 1)
    table = pq.read_table(data).to_pylist()
    table[0]["extra_info"]["checklist"] = [{"statement": "Says how much"}]
    pq.write_table(pa.Table.from_pylist(table), data)
    sentence = sentence_of(evaluate("http://127.0.0.1:9/v1", data, tmp_path / "out"))
    what = "extra_info.checklist with items without a rule, which a judge decides"
    assert sentence == f"--data {data} has {what}; give --judge FILE."


# ---------------------------------------------------------------- compare


def test_only_evaluations_with_the_same_judge_are_compared(tmp_path, model, judge):
    judge.reply = lambda case: YES
    data, file = write_data(tmp_path, 3), settings_file(tmp_path, on(judge))
    rules, judged, again = (tmp_path / name for name in ("rules", "judged", "again"))
    assert evaluate(model, data, rules).exit_code == 0
    assert evaluate(model, data, judged, "--judge", file).exit_code == 0
    sentence = sentence_of(run("compare", rules, judged))
    assert "can't be compared: One was judged by rules alone, and the other by m, threshold 0.5" in sentence
    sentence = sentence_of(evaluate(model, data, again, "--against", judged))
    assert sentence.startswith(f"--against {judged} can't be compared") and not again.exists()
    assert evaluate(model, data, again, "--against", judged, "--judge", file).exit_code == 0


# ---------------------------------------------------------------- score


def responses(folder: Path, *answers: str, **info: Any) -> Path:
    rows = [
        {
            "data_source": OPEN,
            "ground_truth": "Myocardial infarction",
            "response": f"<think>So.</think><answer>{answer}</answer>",
            "extra_info": {"question": f"Diagnosis of case {number}?", **info},
        }
        for number, answer in enumerate(answers)
    ]
    (folder / "responses.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "responses.jsonl"


def test_score_asks_the_judge(tmp_path, judge):
    judge.reply = verdicts(NO, YES, NO, FAILS)
    file = responses(tmp_path, "Myocardial infarction", "Coronary event", "Migraine", "Angina")
    options = ("--judge", settings_file(tmp_path, on(judge, max_failed_share=0.5)))
    done = run("score", file, *options)
    assert done.exit_code == 0, done.output
    [line] = [line for line in done.output.splitlines() if OPEN in line]
    assert line.split()[3:6:2] == ["3", "0.667"]
    assert "left out: 1 answers without a verdict of the judge" in done.output
    assert len(judge.requests) == 3  # equality is decided by rule
    rows = [json.loads(line) for line in run("score", file, "--json", *options).output.splitlines()]
    assert [(row["acc"], row["judge_asked"], row["judge_failed"]) for row in rows] == [
        (1, 0, 0),
        (1, 1, 0),
        (0, 1, 0),
        (0, 1, 1),
    ]
    assert "the judge: yes" in run("score", file, "--explain", "1", *options).output
    assert "judge: HTTP 400: 1" in sentence_of(run("score", file, "--explain", "3", *options))


def test_score_ends_with_too_many_failures_and_prints_nothing(tmp_path, judge):
    judge.reply = lambda case: FAILS
    file = responses(tmp_path, "Myocardial infarction", "Coronary event")
    for more in ([], ["--json"]):
        done = run("score", file, "--judge", settings_file(tmp_path, on(judge)), *more)
        assert "no verdict on 1 of the latest 1 answers" in sentence_of(done) and done.output == ""


def test_a_judge_that_is_down_is_told_in_sentences(tmp_path):
    down = {"base_url": "http://127.0.0.1:9/v1", "model": "m", "retries": 0}
    file = responses(tmp_path, "Coronary event")
    command = [sys.executable, "-m", "verl_medu1.cli.app", "score", file, "--judge", settings_file(tmp_path, down)]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "judge: unreachable" in done.stderr and "Traceback" not in done.stderr


def test_score_of_a_checklist_needs_the_judge(tmp_path, judge):
    judge.reply = lambda case: YES if "diagnosis" in case["statement"] else NO
    file = responses(tmp_path, "Coronary event", checklist=[{"statement": "Names a diagnosis"}])
    for options in ((), ("--judge", "none")):
        assert "row 0 of FILE has extra_info.checklist" in sentence_of(run("score", file, *options))
    done = run("score", file, "--json", "--judge", settings_file(tmp_path, on(judge)))
    assert json.loads(done.output)["acc"] == 1.0
