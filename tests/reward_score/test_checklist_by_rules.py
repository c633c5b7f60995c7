"""Checklists that rules decide without a judge: what an answer is worth, and what attacks are worth."""

import random

import pytest

from reward_score import check_gold, compute_score
from reward_score.checklist import Item, judge_by_rules, read_checklist
from reward_score.response import format_response
from verl_medu1.data.generated import advice

REST = {"statement": "Advises rest", "aliases": ["rest"], "weight": 3}
DOSE = {"statement": "Names 5 mg", "number": 5}
ASPIRIN = {"statement": "Advises aspirin", "aliases": ["aspirin"], "must_not": True, "example": "Take aspirin."}
GOLD = "Rest. Take 5 mg."


@pytest.mark.parametrize(
    ("answer", "similarity"),
    [
        (GOLD, 1.0),
        ("Rest.", 0.75),
        ("Take 5 mg.", 0.25),
        ("", 0.0),
        ("Nothing.", 0.0),
        # A must-not takes everything; denied, it is not done; hedged, it is.
        ("Rest. Take 5 mg. Take aspirin.", 0.0),
        ("Rest. Take 5 mg. Do not give aspirin.", 1.0),
        ("Rest. Take 5 mg. Avoid aspirin!", 1.0),
        ("Rest. Take 5 mg. Perhaps aspirin.", 0.0),
        ("Do not take aspirin. Take aspirin. Rest. 5 mg.", 0.0),
        # What is denied or hedged is not said.
        ("Do not rest. Take 5 mg.", 0.25),
        ("Rest or not. Take 5 mg.", 0.25),
        # Copies and repetitions.
        ("Advises rest. Names 5 mg. Advises aspirin.", 0.0),
        ("Advises rest. Names 5 mg. Not: Advises aspirin.", 0.0),
        ("Rest. Rest. Take 5 mg.", 0.0),
        (GOLD + " And then much more, about everything that there is to say on it all.", 0.0),
    ],
)
def test_what_an_answer_is_worth(answer, similarity):
    items = read_checklist([REST, DOSE, ASPIRIN])
    verdict = judge_by_rules(answer, GOLD, items)
    assert verdict.similarity == similarity and verdict.correct == (similarity == 1)
    if answer:
        info = {"checklist": [REST, DOSE, ASPIRIN]}
        scored = compute_score("own-open_ended", format_response("x", answer), GOLD, info, scheme="gated_similarity")
        assert scored["score"] == similarity and scored["error"] == 0
        malformed = compute_score("own-open_ended", answer, GOLD, info, scheme="gated_similarity")
        assert malformed["score"] == 0


def test_the_reference_must_fulfil_its_own_checklist():
    assert check_gold("own-open_ended", GOLD, {"checklist": [REST, DOSE]}) is None
    assert "1 of 2 items" in (check_gold("own-open_ended", "Rest.", {"checklist": [REST, DOSE]}) or "")
    assert "checklist, item 0" in (check_gold("own-open_ended", "Rest.", {"checklist": [{"weight": 1}]}) or "")


@pytest.mark.parametrize(
    "regex",
    [
        "(a+)+$",
        "(a|aa)*b",
        "(a*)*",
        "((ab)+c?)+",
        "(?:x+x+)+y",
        "(a|b|ab)*c",
        "(?:a{0,5}){10,}",
        r"\w*\w*\d",
        "avoid.*aspirin.*bleed",
        "a{0,80}b{0,80}",
    ],
)
def test_a_regular_expression_that_can_take_for_ever_is_refused(regex):
    with pytest.raises(ValueError, match=r"can take for ever|takes minutes"):
        read_checklist([{"statement": "x", "regex": regex}])


@pytest.mark.parametrize("regex", [r"\bI2[12]\b", r"\d+ mg", r"(aspirin|heparin) \d+", r"(?:ab?c){2}", r"a.*b"])
def test_others_are_taken(regex):
    assert read_checklist([{"statement": "x", "regex": regex}])


def test_an_example_is_for_a_must_not():
    with pytest.raises(ValueError, match="example is for a must-not"):
        read_checklist([{**REST, "example": "Rest."}])


# ------------------------------------------------------------------ the generated advice

RNG = random.Random(0)
EXAMPLES = [advice.draw(RNG) for _ in range(100)]


def mean(answer_of) -> float:
    return sum(judge_by_rules(answer_of(e), e.gold, e.checklist).similarity for e in EXAMPLES) / len(EXAMPLES)


def test_the_reference_earns_all_and_each_must_not_takes_it():
    assert mean(lambda example: example.gold) == 1
    for example in EXAMPLES:
        for item in example.checklist:
            if item.must_not:
                assert judge_by_rules(f"{example.gold} {item.example}", example.gold, example.checklist).similarity == 0


@pytest.mark.parametrize(
    "attack",
    [
        lambda example: example.question,
        lambda example: " ".join(f"{item.statement}." for item in example.checklist),
        lambda example: " ".join(f"{one.capitalize()}." for one in advice.facts()["advice"]),
        lambda example: " ".join([example.gold.split(".")[0] + "."] * 4),
        lambda example: " ".join([example.gold] * 2),
        lambda example: " ".join(f"Do not {one}." for one in advice.facts()["advice"]),
        lambda example: f"Not: {example.gold.replace('.', ',')}",
    ],
    ids=[
        "the question",
        "all items",
        "all advice",
        "one sentence again",
        "the reference twice",
        "all denied",
        "denied",
    ],
)
def test_attacks_earn_nothing(attack):
    assert mean(attack) <= 0.1


def test_one_answer_to_all_questions_earns_less_than_half():
    """Not an attack that rules can refuse: the figure to compare a trained model with."""
    constant = "Rest at home. Drink plenty. Take paracetamol. Call if breathless."
    assert 0.3 < mean(lambda _: constant) < 0.6


def test_weights_and_items_are_those_of_the_row():
    assert [item.weight for item in read_checklist([REST, DOSE])] == [3, 1]
    assert isinstance(read_checklist([REST])[0], Item)
