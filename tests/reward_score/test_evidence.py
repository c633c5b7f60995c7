"""Evidence: the share of it that searches have shown, and the reward for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_score import compute_score
from reward_score.evidence import evidence_found, evidence_recall

FOUND = [{"query": "a", "documents": ["a"]}, {"query": "b", "documents": ["b", "x"]}]
ENDED = "<think>Both are read.</think><answer>7 mg</answer>"
IDS = st.lists(st.sampled_from("abcdef"), max_size=4)


@pytest.mark.parametrize(
    ("evidence", "searches", "recall"),
    [
        (["a", "b"], FOUND, 1.0),
        (["a", "b", "c", "d"], FOUND, 0.5),
        (["a", "b"], [FOUND[0], FOUND[0], FOUND[0]], 0.5),
        (["a", "b"], [{"query": "a", "failed": "search: timeout"}], 0.0),
        (["a", "b"], [], 0.0),
        (["a", "a"], [FOUND[0]], 1.0),
        ([], FOUND, None),
    ],
)
def test_the_share_of_the_evidence(evidence: list[str], searches: list[dict[str, object]], recall: float) -> None:
    assert evidence_recall({"evidence": evidence, "searches": searches}) == recall


@given(IDS.filter(bool), st.lists(IDS, max_size=6), st.randoms())
def test_repeats_and_other_documents_earn_nothing(evidence: list[str], shown: list[list[str]], rng: object) -> None:
    searches = [{"query": "", "documents": documents} for documents in shown]
    recall = evidence_recall({"evidence": evidence, "searches": searches})
    assert recall is not None and 0 <= recall <= 1
    more = [*searches, *searches, {"query": "", "documents": ["x", "y"]}]
    rng.shuffle(more)  # type: ignore[attr-defined]
    assert evidence_recall({"evidence": evidence, "searches": more}) == recall


@pytest.mark.parametrize(
    ("stage", "response", "evidence", "score", "acc"),
    [
        # Searches that find half of it earn half, whatever the answer.
        ("retrieve", ENDED, ["a", "c"], 0.5, 1.0),
        ("retrieve", ENDED.replace("7", "8"), ["a", "c"], 0.5, 0.0),
        ("retrieve", ENDED, ["c"], 0.0, 1.0),
        ("retrieve", "<search>a</search>", ["a", "b"], 0.0, 0.0),
        # Elsewhere the answer alone counts.
        ("joint", ENDED, ["c"], 1.0, 1.0),
        ("joint", ENDED.replace("7", "8"), ["a", "b"], 0.0, 0.0),
        ("reason", ENDED, [], 1.0, 1.0),
        (None, ENDED, [], 1.0, 1.0),
    ],
)
def test_what_each_stage_is_rewarded_for(
    stage: str | None, response: str, evidence: list[str], score: float, acc: float
) -> None:
    info = {"stage": stage, "facts": {"evidence": evidence, "searches": FOUND}, "lower_limit": 7, "upper_limit": 7}
    found = compute_score("quickstart-lookup", response, "7", info, scheme="staged")
    assert (found["score"], found["acc"], found["error"]) == (score, acc, 0.0)


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_a_gain_is_worth_at_most_one_and_more_is_worth_more(gain: float, more: float) -> None:
    worth, other = (evidence_found({"evidence": [], "answer_gain": value}) for value in (gain, gain + more))
    assert worth is not None and other is not None and 0 <= worth <= other <= 1
    assert (worth > 0) == (gain > 0)
    # What is named counts before what is measured.
    assert evidence_found({"evidence": ["a"], "searches": [], "answer_gain": gain}) == 0.0


@pytest.mark.parametrize(
    "facts", [None, {"evidence": [], "searches": FOUND, "answer_gain": None}, {"evidence": [], "searches": FOUND}]
)
def test_a_row_that_can_not_be_rewarded_for_evidence_is_an_error(facts: dict[str, object] | None) -> None:
    info = {"stage": "retrieve", "facts": facts}
    found = compute_score("quickstart-lookup", ENDED, "7", info, scheme="staged")
    assert (found["score"], found["error"]) == (0.0, 1.0) and "needs evidence, or episodes.answer_gain" in found[
        "reason"
    ]
