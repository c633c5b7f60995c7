"""The judge against a real HTTP endpoint on this machine, which answers by a rule that each test sets."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("openai", reason="the package openai is not installed (pip install verl-medu1[judge])")

from reward_score import compute_score, error_counts
from reward_score.judge import Judge, JudgeError, JudgeSettings, compute_judged_score

SOURCE = "medical-o1-verifiable-problem"
REFERENCE = "Myocardial infarction"


def wrapped(answer: str) -> str:
    return f"<think>The pain and the ECG.</think><answer>{answer}</answer>"


class Endpoint:
    """An OpenAI-compatible endpoint on loopback: `reply(case)` gives the text, a number as HTTP status, or a page."""

    def __init__(self) -> None:
        self.cases: list[dict[str, str]] = []
        self.reply: Callable[[dict[str, str]], str | int | bytes] = lambda case: "no"
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                case = json.loads(request["messages"][-1]["content"])
                endpoint.cases.append(case)
                reply = endpoint.reply(case)
                if isinstance(reply, bytes):
                    self.send(200, reply, "text/html" if reply.startswith(b"<") else "application/json")
                    return
                message = {"role": "assistant", "content": reply}
                body = {"id": "1", "object": "chat.completion", "created": 0, "model": request["model"]}
                body["choices"] = [{"index": 0, "finish_reason": "stop", "message": message}]
                self.send(reply if isinstance(reply, int) else 200, json.dumps(body).encode(), "application/json")

            def send(self, status: int, text: bytes, kind: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                with suppress(BrokenPipeError):  # a client that has given up
                    self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    thread = threading.Thread(target=endpoint.server.serve_forever)
    thread.start()
    yield endpoint
    endpoint.server.shutdown()
    thread.join()
    endpoint.server.server_close()


def scores(endpoint: Endpoint, *rows: tuple[str, str, str], **settings: float) -> list[dict]:
    """The judged scores of (data source, response, reference), asked at the same time."""

    async def ask() -> list[dict]:
        judge = Judge(JudgeSettings(endpoint.url, "judge", **{"timeout_s": 10.0, "retries": 0, **settings}))
        try:
            info = {"question": "What is the diagnosis?"}
            return await asyncio.gather(*(compute_judged_score(judge, *row, info) for row in rows))
        finally:
            await judge.close()

    return asyncio.run(ask())


def test_a_synonym_is_right_by_the_judge_alone(endpoint):
    endpoint.reply = lambda case: "Yes." if case["answer"] == "Heart attack" else "no"
    synonym, other = scores(
        endpoint, (SOURCE, wrapped("Heart attack"), REFERENCE), (SOURCE, wrapped("Migraine"), REFERENCE)
    )
    by_rules = compute_score(SOURCE, wrapped("Heart attack"), REFERENCE)
    assert by_rules["score"] == 0.0 and synonym["score"] == synonym["acc"] == 1.0 and synonym["error"] == 0.0
    assert synonym["pred"] == by_rules["pred"] == "heart attack"
    assert other["score"] == 0.0 and other["error"] == 0.0
    assert set(synonym) == set(other) == set(by_rules)
    assert {"question": "What is the diagnosis?", "reference": REFERENCE, "answer": "Migraine"} in endpoint.cases


@pytest.mark.parametrize(
    ("source", "response", "reference"),
    [
        pytest.param(SOURCE, wrapped(REFERENCE), REFERENCE, id="right-by-the-rules"),
        pytest.param(SOURCE, "<answer>Heart attack</answer>", REFERENCE, id="not-well-formed"),
        pytest.param(SOURCE, wrapped("x " * 1000), REFERENCE, id="far-too-long"),
        pytest.param(SOURCE, wrapped("the " * 200 + "x"), REFERENCE, id="far-too-long-with-few-words-that-count"),
        pytest.param("MedQA", wrapped("C"), "B", id="multiple-choice"),
        pytest.param("EHRNoteQA", wrapped("C"), "B", id="credentialed-data"),
        pytest.param("nobody's", wrapped("C"), "B", id="unknown-source"),
    ],
)
def test_nothing_is_sent_where_the_rules_decide(endpoint, source, response, reference):
    endpoint.reply = lambda case: "yes"
    [judged] = scores(endpoint, (source, response, reference))
    assert endpoint.cases == []
    assert judged == compute_score(source, response, reference, {"question": "What is the diagnosis?"})


def test_the_judges_yes_is_worth_as_much_under_each_scheme(endpoint):
    endpoint.reply = lambda case: "yes"

    async def ask(scheme: str) -> float:
        judge = Judge(JudgeSettings(endpoint.url, "judge"))
        judged = await compute_judged_score(judge, SOURCE, wrapped("Heart attack"), REFERENCE, scheme=scheme)
        return judged["score"]

    assert [asyncio.run(ask(scheme)) for scheme in ("gated_binary", "gated_similarity", "accuracy")] == [1.0] * 3


def test_a_judge_on_this_machine_is_asked_past_the_proxy(endpoint, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    endpoint.reply = lambda case: "yes"
    [judged] = scores(endpoint, (SOURCE, wrapped("Heart attack"), REFERENCE))
    assert (judged["score"], judged["error"]) == (1.0, 0.0)


def test_equal_answers_are_asked_once(endpoint):
    endpoint.reply = lambda case: "yes"
    judged = scores(endpoint, *[(SOURCE, wrapped("Heart attack"), REFERENCE)] * 8)
    assert len(endpoint.cases) == 1 and all(score["score"] == 1.0 for score in judged)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("perhaps", "neither yes nor no"),
        ("yes and no", "neither"),
        (500, "InternalServerError 500"),
        (401, "Authent"),
        (b"<html>log in</html>", "no chat completion"),
        (b"{", "not JSON"),
        (b"{}", "no chat completion"),
    ],
)
def test_a_failure_leaves_the_rules_verdict_and_is_counted(endpoint, reply, reason):
    endpoint.reply = lambda case: reply
    before = sum(error_counts().values())
    [judged] = scores(endpoint, (SOURCE, wrapped("Heart attack"), REFERENCE))
    assert judged["score"] == 0.0 and judged["error"] == 1.0 and reason in judged["reason"]
    assert sum(error_counts().values()) == before + 1


def test_a_slow_judge_is_given_up(endpoint):
    endpoint.reply = lambda case: time.sleep(3) or "yes"
    started = time.monotonic()
    [judged] = scores(endpoint, (SOURCE, wrapped("Heart attack"), REFERENCE), timeout_s=0.3)
    assert judged["error"] == 1.0 and "0.3 s" in judged["reason"] and time.monotonic() - started < 3


def test_a_failure_is_repeated_and_not_remembered(endpoint):
    replies = iter([500, "yes"])
    endpoint.reply = lambda case: next(replies)
    [judged] = scores(endpoint, (SOURCE, wrapped("Heart attack"), REFERENCE), retries=1)
    assert judged["score"] == 1.0 and len(endpoint.cases) == 2

    async def ask_twice() -> bool:
        judge = Judge(JudgeSettings(endpoint.url, "judge", retries=0))
        endpoint.reply = lambda case: "maybe"
        with pytest.raises(JudgeError):
            await judge.agrees("q", "r", "a")
        endpoint.reply = lambda case: "yes"
        return await judge.agrees("q", "r", "a")

    assert asyncio.run(ask_twice())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"base_url": "127.0.0.1:8000", "model": "m"}, "http://"),
        ({"base_url": "http://127.0.0.1", "model": ""}, "model is empty"),
        ({"base_url": "http://127.0.0.1", "model": "m", "timeout_s": 0}, "timeout_s is 0"),
        ({"base_url": "http://127.0.0.1", "model": "m", "timeout_s": "60s"}, "timeout_s is 60s"),
        ({"base_url": "http://127.0.0.1", "model": "m", "api_key_env": "MEDU1_NO_SUCH_KEY"}, "export it"),
        ({"base_url": "http://127.0.0.1", "model": "m", "retries": -1}, "retries is -1"),
        ({"base_url": "http://127.0.0.1", "model": "m", "concurrency": 0}, "concurrency is 0"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        JudgeSettings(**settings)
