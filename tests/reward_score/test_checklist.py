"""Checklists: what rules decide, what the judge is asked, and how items become a verdict."""

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("openai", reason="the package openai is not installed (pip install verl-medu1[judge])")

from reward_score.checklist import Item, decided_by_rule, read_checklist
from reward_score.item_results import AGREED, DIFFERED, NO_VERDICT, read_items
from reward_score.judge import Judge, JudgeSettings, compute_judged_score
from reward_score.judge.checklist import audited
from tests.reward_score.judge_server import NO, YES, Endpoint, Reply, serving

SOURCE = "medical-o1-verifiable-problem"
DOSE = {"statement": "The dose is 5 mg", "number": 5}
DRUG = {"statement": "Names heparin", "aliases": ["heparin", "unfractionated heparin"], "weight": 2}
WATCH = {"statement": "Says what to monitor", "weight": 3}
ASPIRIN = {"statement": "Recommends aspirin", "must_not": True}


@pytest.mark.parametrize(
    ("item", "answer", "decided"),
    [
        (DOSE, "Give 5 mg daily.", True),
        (DOSE, "Give five mg.", True),
        (DOSE, "Give 5.0 mg.", True),
        (DOSE, "Give 15 mg.", False),
        (DOSE, "Give 0.5 mg.", False),
        (DOSE, "Rest.", False),
        (DOSE, "Not 5 mg.", None),
        (DOSE, "Possibly 5 mg.", None),
        (DOSE, "Possibly later. Give 5 mg.", True),
        (DRUG, "Start Heparin at once", True),
        (DRUG, "Start warfarin", False),
        (DRUG, "Avoid heparin", None),
        (DRUG, "heparinoid", False),
        ({"statement": "Gives an ICD code", "regex": r"\bI2[01]\b"}, "Coded as i21", True),
        ({"statement": "Gives an ICD code", "regex": r"\bI2[01]\b"}, "Coded as I215", False),
        (WATCH, "Monitor the aPTT", None),
    ],
)
def test_a_rule_decides_an_item_or_leaves_it(item, answer, decided):
    assert decided_by_rule(Item.model_validate(item), answer) is decided


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("heparin", "checklist must be a list of items, and is of type str"),
        (["heparin"], "item 0 must have named keys, and is of type str"),
        ([DOSE, {"weight": 1}], "item 1: statement: Field required"),
        ([{**DOSE, "weight": 0}], "item 0: weight is 0"),
        ([{**DOSE, "points": 1}], "item 0: points is 1: Extra inputs"),
        ([{"statement": "x", "regex": "("}], "no regular expression"),
        ([{**DOSE, "John Doe": "a patient"}], "item 0: John Doe: Extra inputs"),
        ([{**DOSE, "regex": "5"}], "set only one of number, regex and aliases"),
        ([ASPIRIN], "must-nots only"),
    ],
)
def test_a_broken_checklist_is_refused(given, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_checklist(given)


def test_a_checklist_is_read_as_parquet_gives_it():
    full = {**DRUG, "must_not": None, "number": None, "regex": None, "aliases": np.array(["heparin"], dtype=object)}
    [item] = read_checklist(np.array([{**full, "aliases": ["heparin"]}], dtype=object))
    assert item.aliases == ("heparin",) and item.weight == 2 and not item.must_not
    [item] = read_checklist([full])
    assert item.aliases == ("heparin",)
    assert read_checklist(None) == read_checklist([]) == ()


# ---------------------------------------------------------------- with a judge


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serving() as endpoint:
        yield endpoint


def score(endpoint: Endpoint, answer: str, checklist: Any, source: str = SOURCE, **kwargs: Any) -> Any:
    async def ask() -> Any:
        judge = Judge(JudgeSettings(base_url=endpoint.url, model="m", retries=0))
        response = f"<think>a</think><answer>{answer}</answer>"
        info = {"question": "What to give?", "checklist": checklist}
        return await compute_judged_score(judge, source, response, "Heparin 5 mg", info, **kwargs)

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("answer", "true", "acc", "similarity"),
    [
        ("Heparin 5 mg. Monitor the aPTT.", {"Says what to monitor"}, 1.0, 1.0),
        ("Heparin 5 mg. Monitor the aPTT.", set(), 0.0, 0.5),
        ("Heparin. Monitor the aPTT.", {"Says what to monitor"}, 0.0, 5 / 6),
        ("Warfarin.", set(), 0.0, 0.0),
        ("Heparin 5 mg and aspirin. Monitor.", {"Says what to monitor", "Recommends aspirin"}, 0.0, 0.0),
    ],
)
def test_items_become_a_verdict(endpoint, answer, true, acc, similarity):
    endpoint.reply = lambda case: YES if case["statement"] in true else NO
    judged = score(endpoint, answer, [DOSE, DRUG, WATCH, ASPIRIN])
    assert (judged["acc"], judged["similarity"]) == (acc, pytest.approx(similarity))
    assert judged["score"] == acc and (judged["judge_asked"], judged["judge_failed"]) == (1.0, 0.0)
    assert {case["statement"] for case in endpoint.cases} == {"Says what to monitor", "Recommends aspirin"}
    assert all(case["answer"] == answer for case in endpoint.cases)
    assert score(endpoint, answer, [DOSE, DRUG, WATCH, ASPIRIN], scheme="gated_similarity")["score"] == pytest.approx(
        similarity
    )


def test_rules_alone_ask_nobody(endpoint):
    judged = score(endpoint, "Heparin 5 mg", [DOSE, DRUG])
    assert (judged["score"], judged["judge_asked"]) == (1.0, 0.0) and endpoint.requests == []
    judged = score(endpoint, "Heparin", [DOSE, DRUG])
    assert judged["reason"] == "1 of 2 items; not: The dose is 5 mg" and endpoint.requests == []


@pytest.mark.parametrize(("answer", "reason"), [(":", "no content word"), ("heparin " * 1001, "longer than 8000")])
def test_an_empty_or_endless_answer_is_wrong_by_rule(endpoint, answer, reason):
    judged = score(endpoint, answer, [WATCH])
    assert judged["acc"] == 0.0 and reason in judged["reason"] and endpoint.requests == []


def test_an_item_without_a_verdict_fails_the_answer(endpoint):
    endpoint.reply = lambda case: YES if case["statement"] == WATCH["statement"] else Reply("?")
    judged = score(endpoint, "Heparin 5 mg", [WATCH, ASPIRIN])
    assert (judged["judge_asked"], judged["judge_failed"], judged["score"]) == (1.0, 1.0, 0.0)


def test_a_broken_checklist_is_an_error_of_the_row(endpoint):
    judged = score(endpoint, "Heparin 5 mg", [{"weight": 1}])
    assert (judged["error"], judged["judge_failed"]) == (1.0, 0.0) and "checklist, item 0" in judged["reason"]


@pytest.mark.parametrize("answer", ["Monitor it.", "Avoid heparin."])
def test_a_credentialed_row_is_never_sent(endpoint, answer, monkeypatch):
    """Neither an item without a rule, nor one that its rule leaves to the judge."""
    monkeypatch.setattr("reward_score.chat.client.is_loopback", lambda url: False)
    monkeypatch.setattr("reward_score.chat.client.credentialed_sources", lambda sources: list(sources))
    judged = score(endpoint, answer, [DRUG] if "heparin" in answer else [WATCH])
    assert judged["judge_failed"] == 1.0 and "not sent" in judged["reason"] and endpoint.requests == []


# ---------------------------------------------------------------- items by name, and their audit


def items_of(judged: Any) -> list[tuple[str, bool, bool, str]]:
    return [(i.statement, i.true, i.must_not, i.audit) for i in read_items(judged["checklist_items"])]


def test_each_item_is_in_the_score_whoever_decided_it(endpoint):
    endpoint.reply = lambda case: YES if case["statement"] == "Says what to monitor" else NO
    judged = score(endpoint, "Heparin. Monitor it.", [DOSE, DRUG, WATCH, ASPIRIN])
    assert items_of(judged) == [
        ("The dose is 5 mg", False, False, ""),
        ("Names heparin", True, False, ""),
        ("Says what to monitor", True, False, ""),
        ("Recommends aspirin", False, True, ""),
    ]


def test_an_answer_without_a_verdict_has_no_items(endpoint):
    endpoint.reply = lambda case: Reply("?")
    for checklist in ([DOSE, WATCH], [DOSE, DRUG]):  # the rules leave a denial to the judge
        judged = score(endpoint, "Not 5 mg of heparin.", checklist)
        assert judged["judge_failed"] == 1.0 and judged["checklist_items"] == ""


def test_an_audit_asks_about_what_rules_decide_and_changes_nothing(endpoint):
    endpoint.reply = lambda case: YES if case["statement"] in ("Says what to monitor", "Names heparin") else NO
    row = ("Heparin 5 mg. Monitor it.", [DOSE, DRUG, WATCH, ASPIRIN])
    plain = score(endpoint, *row)
    asked = len(endpoint.requests)
    audited_ = score(endpoint, *row, audit_share=1.0)
    assert len(endpoint.requests) == 2 * asked + 2
    audits = {statement: audit for statement, _, _, audit in items_of(audited_)}
    assert audits == {
        "The dose is 5 mg": DIFFERED,
        "Names heparin": AGREED,
        "Says what to monitor": "",
        "Recommends aspirin": "",
    }
    assert {**audited_, "checklist_items": ""} == {**plain, "checklist_items": ""}
    assert score(endpoint, *row, audit_share=0.0) == plain


def test_a_must_not_that_a_rule_denies_is_audited_as_a_no(endpoint):
    endpoint.reply = lambda case: NO
    rule = {**ASPIRIN, "aliases": ["aspirin"]}
    judged = score(endpoint, "Heparin.", [DRUG, rule], audit_share=1.0)
    assert [audit for *_, audit in items_of(judged)] == [DIFFERED, AGREED] and judged["score"] == 1.0


def test_an_audit_without_a_verdict_leaves_the_answer(endpoint):
    endpoint.reply = lambda case: Reply("?")
    judged = score(endpoint, "Heparin 5 mg", [DOSE, DRUG], audit_share=1.0)
    assert (judged["score"], judged["judge_asked"], judged["judge_failed"], judged["error"]) == (1.0, 0.0, 0.0, 0.0)
    assert [audit for *_, audit in items_of(judged)] == [NO_VERDICT, NO_VERDICT]


def test_what_may_not_leave_the_machine_is_not_audited(endpoint, monkeypatch):
    monkeypatch.setattr("reward_score.chat.client.is_loopback", lambda url: False)
    monkeypatch.setattr("reward_score.chat.client.credentialed_sources", lambda sources: list(sources))
    judged = score(endpoint, "Heparin 5 mg", [DOSE, DRUG], audit_share=1.0)
    assert judged["score"] == 1.0 and endpoint.requests == []
    assert [audit for *_, audit in items_of(judged)] == ["", ""]


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
def test_the_share_is_of_the_answers_and_always_the_same_ones(share):
    answers = [f"Give {number} mg." for number in range(4000)]
    chosen = {answer for answer in answers if audited("q", answer, share)}
    assert len(chosen) / 4000 == pytest.approx(share, abs=0.025 if 0 < share < 1 else 0)
    assert chosen == {answer for answer in reversed(answers) if audited("q", answer, share)}
    # Who is in a smaller share is in a larger one; another question chooses others.
    assert {answer for answer in answers if audited("q", answer, share / 2)} <= chosen
    assert share in (0.0, 1.0) or chosen != {answer for answer in answers if audited("r", answer, share)}
