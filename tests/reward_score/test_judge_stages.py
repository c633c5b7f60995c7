"""The judge and the stages of a question: it is not asked about an answer that does not count."""

import asyncio
from typing import Any

import pytest

pytest.importorskip("openai", reason="the package openai is not installed (pip install verl-medu1[judge])")

from reward_score.judge import Judge, JudgeSettings, compute_judged_score
from tests.reward_score.judge_server import YES, serving

SOURCE, REFERENCE = "medical-o1-verifiable-problem", "Myocardial infarction"
ANSWER = "<think>The pain and the ECG.</think><answer>Coronary event</answer>"
# Half of the evidence was found.
FOUND = {"searches": [{"query": "a", "documents": ["a"]}], "evidence": ["a", "b"]}


@pytest.mark.parametrize(
    ("stage", "scheme", "score", "asked"),
    [
        ("retrieve", "staged", 0.5, 0),
        ("joint", "staged", 1.0, 1),
        (None, "staged", 1.0, 1),
        ("retrieve", "gated_binary", 1.0, 1),
    ],
)
def test_it_is_asked_where_the_answer_is_the_reward(stage: str | None, scheme: str, score: float, asked: int) -> None:
    async def ask(url: str) -> Any:
        judge = Judge(JudgeSettings.read({"base_url": url, "model": "judge"}))
        info = {"question": "What is the diagnosis?", "stage": stage, "facts": FOUND}
        try:
            return await compute_judged_score(judge, SOURCE, ANSWER, REFERENCE, info, scheme=scheme)
        finally:
            await judge.close()

    with serving() as endpoint:
        endpoint.reply = lambda case: YES
        judged = asyncio.run(ask(endpoint.url))
        assert (judged["score"], judged["judge_asked"], len(endpoint.cases)) == (score, float(asked), asked)
