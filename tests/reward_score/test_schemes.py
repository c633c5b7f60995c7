import pytest

from reward_score import compute_score
from reward_score.response import Response, parse_response
from reward_score.schemes import SCHEMES, Sample, find_scheme, release
from reward_score.verdict import Verdict, right, wrong

WELL_FORMED = parse_response("<think>a</think><answer>B</answer>")
BARE = parse_response("<answer>B</answer>")
TRUNCATED = parse_response("<think>a</think><answer>B")
HALF = Verdict(False, 0.5, "x", "")


@pytest.mark.parametrize(
    ("scheme", "response", "verdict", "reward"),
    [
        ("gated_binary", WELL_FORMED, right("B", ""), 1.0),
        ("gated_binary", WELL_FORMED, wrong("A", ""), 0.0),
        ("gated_binary", BARE, right("B", ""), 0.0),
        ("gated_similarity", WELL_FORMED, HALF, 0.5),
        ("gated_similarity", BARE, HALF, 0.0),
        ("accuracy", BARE, right("B", ""), 1.0),
        ("accuracy", WELL_FORMED, HALF, 0.0),
    ],
)
def test_schemes(scheme: str, response: Response, verdict: Verdict, reward: float) -> None:
    assert find_scheme(scheme)(Sample(response, verdict)) == reward


# Facts about the published arithmetic: response, right, mode, budget, length, reward.
@pytest.mark.parametrize(
    ("response", "correct", "mode", "budget", "length", "reward"),
    [
        (WELL_FORMED, True, "none", 0, 100, 2.0),
        (WELL_FORMED, False, "none", 0, 100, 0.0),
        (BARE, True, "none", 0, 100, 0.0),
        (BARE, False, "none", 0, 100, -2.0),
        (TRUNCATED, False, "none", 0, 100, -3.0),
        (TRUNCATED, False, "exact", 100, 100, -3.0),
        (WELL_FORMED, True, "exact", 1000, 1000, 3.0),
        (WELL_FORMED, False, "exact", 1000, 1000, 1.0),
        (WELL_FORMED, True, "exact", 100, 1600, 2.0),
        (WELL_FORMED, True, "exact", 100, 4096, 1.0),
        (WELL_FORMED, True, "max", 1000, 1000, 2.0),
        (WELL_FORMED, True, "max", 1000, 500, 3.0),
        (WELL_FORMED, True, "max", 1000, 1500, 1.0),
        (WELL_FORMED, False, "max", 1000, 400, 1.0),
        (WELL_FORMED, True, "max", 100, 0, 2.2),
    ],
)
def test_release(response: Response, correct: bool, mode: str, budget: int, length: int, reward: float) -> None:
    verdict = right("B", "") if correct else wrong("A", "")
    assert release(Sample(response, verdict, {"budget_mode": mode, "budget_tokens": budget}, length)) == pytest.approx(
        reward
    )


def test_release_through_compute_score() -> None:
    info = {"budget_mode": "exact", "budget_tokens": 300}
    response = "<think>a</think><answer>B</answer>"
    assert compute_score("MedQA", response, "B", info, scheme="release", num_tokens=300)["score"] == 3.0
    missing = compute_score("MedQA", response, "B", info, scheme="release")
    assert (missing["error"], missing["score"]) == (1.0, 0.0)


def test_unknown_scheme_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="gated_binary"):
        find_scheme("binary")
    assert set(SCHEMES) >= {"gated_binary", "release"}
