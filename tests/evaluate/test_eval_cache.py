"""Answers are shared by evaluations that ask the same in the same way, and by no others."""

from dataclasses import replace
from pathlib import Path

import pytest

from verl_medu1.evaluate import sampling
from verl_medu1.evaluate.cache import ResponseCache
from verl_medu1.evaluate.questions import Question
from verl_medu1.evaluate.scoring import Response

SAMPLING = sampling.Sampling(
    samples=1, temperature=1.0, max_tokens=8, seed=0, batch=4, dtype="auto", tensor_parallel_size=1
)
QUESTION = Question("1", "MedQA", [{"role": "user", "content": "Which?"}], "B", {"budget_counts": "response"})
RESPONSE = Response("<think>a</think><answer>B</answer>", 5, 5, truncated=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of an evaluation that has asked QUESTION once."""
    cache = ResponseCache(tmp_path, "model", SAMPLING)
    cache.add(QUESTION, 0, [RESPONSE])
    assert cache.responses(QUESTION, 1) == [RESPONSE]
    return tmp_path


@pytest.mark.parametrize("change", [{"samples": 3}, {"batch": 1}, {"tensor_parallel_size": 2}])
def test_what_changes_no_answer_finds_it_again(folder: Path, change: dict[str, int]) -> None:
    assert ResponseCache(folder, "model", replace(SAMPLING, **change)).responses(QUESTION, 1) == [RESPONSE]


@pytest.mark.parametrize("change", [{"temperature": 0.5}, {"max_tokens": 9}, {"seed": 1}, {"dtype": "float32"}])
def test_another_sampling_has_answers_of_its_own(folder: Path, change: dict[str, float]) -> None:
    assert ResponseCache(folder, "model", replace(SAMPLING, **change)).responses(QUESTION, 1) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOP_P", 0.9),
        ("NOTHING_LEFT_OUT", {"top_k": 20, "repetition_penalty": 1.0}),
        ("NOTHING_LEFT_OUT", {"top_k": -1, "repetition_penalty": 1.1}),
    ],
)
def test_so_has_another_release_that_samples_otherwise(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    monkeypatch.setattr(sampling, name, value)
    assert ResponseCache(folder, "model", SAMPLING).responses(QUESTION, 1) == []


def test_so_have_another_model_and_other_template_arguments(folder: Path) -> None:
    assert ResponseCache(folder, "other", SAMPLING).responses(QUESTION, 1) == []
    assert ResponseCache(folder, "model", SAMPLING, {"enable_thinking": False}).responses(QUESTION, 1) == []
