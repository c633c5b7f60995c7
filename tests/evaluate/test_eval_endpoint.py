"""`medu1 eval --endpoint` against a server in a process of its own: answers, resuming, refusals."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest

from verl_medu1.data.budget import Budget
from verl_medu1.data.example import Example
from verl_medu1.data.prompts import load_prompts
from verl_medu1.data.schema import QUESTIONS, question_row
from verl_medu1.evaluate.endpoint import read_completion
from verl_medu1.evaluate.questions import Question
from verl_medu1.run_folder.evaluations import append_jsonl, read_jsonl

pytest.importorskip("openai", reason="the package openai is not installed")
QUESTIONS_ASKED = 6


class Server(NamedTuple):
    url: str
    folder: Path

    def asked(self) -> list[dict[str, Any]]:
        log = self.folder / "log.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "server"
    folder.mkdir()
    command = [sys.executable, str(Path(__file__).with_name("openai_server.py")), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Server(f"http://127.0.0.1:{int(process.stdout.readline())}/v1", folder)
        process.terminate()


def write_data(path: Path, source: str = "MedQA", counts: str = "response") -> Path:
    options = (("A", "heparin"), ("B", "aspirin"))
    rows = []
    for number in range(QUESTIONS_ASKED):
        if number % 3:
            question = f"Which drug helps in case {number}?"
            example = Example(source, f"{source}/{number}", "multiple_choice", question, "AB"[number % 2], options)
        else:
            question = f"What is the dose in case {number}?"
            example = Example("MedCalc-Bench", str(number), "calculation", question, "12.5")
        budget = Budget("max", [10, 30][number // 3], counts)
        rows.append(question_row(example, load_prompts().messages(example, budget), budget, "test", number))
    import pyarrow as pa

    pq.write_table(pa.Table.from_pylist(rows, schema=QUESTIONS), path)
    return path


@pytest.fixture
def evaluate(tmp_path: Path, server: Server) -> Callable[..., subprocess.CompletedProcess]:
    data = write_data(tmp_path / "data.parquet")

    def evaluate(*options: str, **environment: str) -> subprocess.CompletedProcess:
        program = "from verl_medu1.cli.app import main; main()"
        arguments = [
            "eval",
            "--model",
            "m",
            "--endpoint",
            server.url,
            "--data",
            str(data),
            "--out",
            str(tmp_path / "out"),
        ]
        return subprocess.run(
            [sys.executable, "-c", program, *arguments, *options],
            capture_output=True, text=True, timeout=100, env={**os.environ, "COLUMNS": "120", **environment},
        )  # fmt: skip

    return evaluate


def samples_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


def test_an_endpoint_is_evaluated(tmp_path: Path, server: Server, evaluate: Callable) -> None:
    done = evaluate("--samples", "3", "--max-tokens", "99", "--temperature", "0.5", "--formats", "--batch", "4")
    assert done.returncode == 0, done.stderr
    samples = samples_of(tmp_path / "out")
    # Four questions with options are asked in three formats, two without in one.
    assert len(samples) == 3 * (4 * 3 + 2) == len(server.asked())
    asked = server.asked()[0]
    assert (asked["model"], asked["max_tokens"], asked["temperature"]) == ("m", 99, 0.5)
    assert len({row["seed"] for row in server.asked()}) == len(samples)
    assert [message["role"] for message in asked["messages"]] == ["system", "user"]
    assert all((row["length"], row["truncated"], row["format"]) == (20, 0.0, 1.0) for row in samples)

    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    medqa = summary["data_source"]["MedQA"]
    assert summary["data_source"]["MedCalc-Bench"]["accuracy"] == 1.0
    assert medqa["lm_eval"] == "medqa_4options"
    assert (medqa["questions"], medqa["samples"], medqa["accuracy"]) == (4, 12, 0.5)
    assert medqa["pass_at"]["1"]["value"] == medqa["pass_at"]["3"]["value"] == medqa["majority"] == 0.5
    # "12.5" is not an option's text; a list with the right option first stays right.
    robust = medqa["robustness"]
    assert (robust["short_answer"]["accuracy"], robust["short_answer"]["stays"]) == (0.0, 0.0)
    assert (robust["ranked_list"]["accuracy"], robust["ranked_list"]["stays"]) == (0.5, 1.0)
    # 20 tokens are over the budget of 10 and within that of 30.
    assert [(point["tokens"], point["budget_kept"]) for point in medqa["by_budget"]] == [(10, 0.0), (30, 1.0)]
    for expected in ("pass@3", "majority@3", "ranked list", "max 30", "medqa_4options"):
        assert expected in done.stdout


def test_an_evaluation_that_was_stopped_goes_on(tmp_path: Path, server: Server, evaluate: Callable) -> None:
    (server.folder / "mode").write_text("fail 4")
    stopped = evaluate("--batch", "1")
    assert stopped.returncode == 2
    assert stopped.stderr.strip().splitlines()[-1] == (
        f"medu1: --endpoint {server.url} gave no answer (BadRequestError 400); what it answered is kept, "
        "run the command again to go on."
    )
    assert not (tmp_path / "out" / "samples.jsonl").exists()
    responses = tmp_path / "out" / "responses.jsonl"
    assert len(responses.read_text().splitlines()) == 4
    # A kill may cut the last line anywhere.
    responses.write_text(responses.read_text()[:-20])
    (server.folder / "mode").write_text("")
    before = len(server.asked())
    assert evaluate().returncode == 0
    assert len(server.asked()) - before == QUESTIONS_ASKED - 3
    assert len(samples_of(tmp_path / "out")) == QUESTIONS_ASKED


def test_nothing_is_asked_twice(tmp_path: Path, server: Server, evaluate: Callable) -> None:
    def newly_asked(*options: str) -> int:
        before = len(server.asked())
        assert evaluate(*options).returncode == 0
        return len(server.asked()) - before

    assert newly_asked() == QUESTIONS_ASKED
    first = (tmp_path / "out" / "samples.jsonl").read_text()
    assert newly_asked() == 0
    assert (tmp_path / "out" / "samples.jsonl").read_text() == first
    assert newly_asked("--samples", "3") == 2 * QUESTIONS_ASKED  # two more of each
    for option in (["--temperature", "0"], ["--seed", "1"], ["--max-tokens", "64"], ["--model", "other"]):
        assert newly_asked(*option) == QUESTIONS_ASKED


@pytest.mark.parametrize("owner", [None, "openai", "vllm"])
def test_nothing_is_left_to_the_servers_defaults_that_it_can_be_asked(
    server: Server, evaluate: Callable, owner: str | None
) -> None:
    if owner:
        (server.folder / "owner").write_text(owner)
    assert evaluate().returncode == 0
    more = {"top_k": -1, "repetition_penalty": 1.0} if owner == "vllm" else {}
    assert len(server.asked()) == QUESTIONS_ASKED
    for asked in server.asked():
        assert asked["top_p"] == 1.0
        assert {name: asked[name] for name in ("top_k", "repetition_penalty") if name in asked} == more


def test_two_evaluations_are_compared(tmp_path: Path, evaluate: Callable) -> None:
    assert evaluate().returncode == 0
    (tmp_path / "out").rename(tmp_path / "first")
    done = evaluate("--against", str(tmp_path / "first"))
    assert done.returncode == 0, done.stderr
    assert "1.000" in done.stdout


def test_reasoning_that_the_server_splits_off_is_put_back(tmp_path: Path, server: Server, evaluate: Callable) -> None:
    write_data(tmp_path / "data.parquet", counts="reasoning")
    (server.folder / "mode").write_text("split")
    assert evaluate("--max-tokens", "20").returncode == 0
    for row in samples_of(tmp_path / "out"):
        assert row["response"].startswith("<think>I know.</think><answer>")
        assert (row["length"], row["counted_tokens"], row["truncated"]) == (20, 7, 1.0)


def test_the_key_is_taken_from_the_environment_where_it_is_named(server: Server, evaluate: Callable) -> None:
    (server.folder / "mode").write_text("key")
    done = evaluate(OPENAI_API_KEY="secret")
    assert done.returncode == 2
    assert "AuthenticationError 401" in done.stderr
    assert "secret" not in (server.folder / "log.jsonl").read_text()  # no key goes where it was not meant for
    assert evaluate("--api-key-env", "MY_KEY", MY_KEY="secret").returncode == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--endpoint", "http://127.0.0.1:9/v1"], "gave no answer (APIConnectionError)"),
        (["--endpoint", "https://example.org/v1"], "has rows of EHRNoteQA, which may not leave this machine"),
    ],
)
def test_what_cannot_or_must_not_be_asked_is_one_sentence(
    tmp_path: Path, evaluate: Callable, options: list[str], message: str
) -> None:
    if "EHRNoteQA" in message:
        write_data(tmp_path / "data.parquet", source="EHRNoteQA")
    done = evaluate(*options)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_on_this_machine_is_asked_directly(tmp_path: Path, server: Server, evaluate: Callable) -> None:
    write_data(tmp_path / "data.parquet", source="EHRNoteQA")
    proxies = {name: "http://127.0.0.1:9" for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")}
    done = evaluate(**proxies, NO_PROXY="", no_proxy="")
    assert done.returncode == 0, done.stderr
    assert len(server.asked()) == QUESTIONS_ASKED


def test_a_server_on_this_machine_sends_the_questions_nowhere_else(server: Server, evaluate: Callable) -> None:
    (server.folder / "mode").write_text("elsewhere")
    done = evaluate("--batch", "1")
    assert done.returncode == 2
    assert "APIStatusError 307" in done.stderr
    assert {row["path"] for row in server.asked()} == {"/v1/chat/completions"}


def test_a_server_that_speaks_otherwise_is_one_sentence(server: Server, evaluate: Callable) -> None:
    (server.folder / "mode").write_text("strange")
    done = evaluate()
    assert done.returncode == 2
    assert "is not OpenAI-compatible" in done.stderr
    assert "Traceback" not in done.stderr


def test_half_a_character_can_be_written(tmp_path: Path) -> None:
    message = SimpleNamespace(content="<answer>\ud83d\u00e9</answer>", reasoning="\udc00")
    completion = SimpleNamespace(
        choices=[SimpleNamespace(message=message, finish_reason="stop")], usage=SimpleNamespace(completion_tokens=3)
    )
    info = {"budget_mode": "none", "budget_tokens": 0}
    response = read_completion(completion, Question("1", "MedQA", [], "B", info))
    append_jsonl(tmp_path / "rows.jsonl", [response._asdict()])
    assert read_jsonl(tmp_path / "rows.jsonl")[0]["text"] == "<think>?</think><answer>?\u00e9</answer>"


def test_without_the_package_it_is_one_sentence(evaluate: Callable, tmp_path: Path) -> None:
    (tmp_path / "openai.py").write_text("raise ImportError")
    done = evaluate(PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.strip() == "medu1: --endpoint needs the package openai; pip install verl-medu1[endpoint]."
