"""Options in other orders: the same question with its gold answer at another letter, and what luck looks like."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_score.multiple_choice import read_options
from tests.evaluate.test_eval_formats import OPTIONS, question
from verl_medu1.data.budget import Budget
from verl_medu1.data.prompts import load_prompts
from verl_medu1.evaluate.orders import in_other_orders
from verl_medu1.evaluate.pass_rates import Answers
from verl_medu1.evaluate.scoring import Response, call_of

FIVE = tuple(zip("ABCDE", ("rest", "heparin", "aspirin", "insulin", "iron"), strict=True))


def test_the_prompt_shows_the_moved_options_and_nothing_else_changes() -> None:
    asked = question(budget=Budget("max", 90))
    (moved,) = in_other_orders([asked], load_prompts(), 2, seed=0)
    before, after = (item.prompt[-1]["content"].splitlines() for item in (asked, moved))
    options = read_options(moved.extra_info["options"])
    assert after[1:4] == [f"{letter}. {text}" for letter, text in options.items()] != before[1:4]
    assert (after[0], after[4:]) == (before[0], before[4:])
    assert moved.prompt[0] == asked.prompt[0] and moved.asked_as == "other_order_1"


@given(st.integers(0, 9), st.sampled_from("ABCDE"))
def test_each_text_stands_at_each_letter_once(seed: int, gold: str) -> None:
    asked = question(gold, FIVE)
    moved = in_other_orders([asked], load_prompts(), 5, seed)
    orders = [read_options(item.extra_info["options"]) for item in [asked, *moved]]
    assert all(sorted(order.values()) == sorted(text for _, text in FIVE) for order in orders)
    for letter in "ABCDE":
        assert len({order[letter] for order in orders}) == 5
    # The gold answer is the same text, and a model with a favourite letter is right once in five.
    assert {order[item.ground_truth] for item, order in zip([asked, *moved], orders, strict=True)} == {dict(FIVE)[gold]}
    assert sorted(item.ground_truth for item in [asked, *moved]) == list("ABCDE")


def test_there_are_no_more_orders_than_options_and_the_seed_decides() -> None:
    assert len(in_other_orders([question()], load_prompts(), 9, seed=0)) == len(OPTIONS) - 1
    golds = {in_other_orders([question("A", FIVE)], load_prompts(), 2, seed)[0].ground_truth for seed in range(20)}
    assert golds == set("BCDE")


def test_gaps_in_the_letters_stay() -> None:
    asked = question("D", (("A", "rest"), ("B", "heparin"), ("D", "iron")))
    for moved in in_other_orders([asked], load_prompts(), 3, seed=1):
        options = read_options(moved.extra_info["options"])
        assert list(options) == ["A", "B", "D"] and options[moved.ground_truth] == "iron"


@pytest.mark.parametrize("text", ["All of the above", "Both A and B", "none of these"])
def test_a_question_whose_options_name_others_is_left_out(text: str) -> None:
    assert in_other_orders([question("A", (("A", "heparin"), ("B", text)))], load_prompts(), 2, seed=0) == []


def test_other_prompts_one_order_and_no_options() -> None:
    with pytest.raises(ValueError, match=r"row '1' was not made of --prompts"):
        in_other_orders([question()], replace(load_prompts(), option="({letter}) {text}"), 2, seed=0)
    with pytest.raises(ValueError, match="--orders is 1; give at least 2"):
        in_other_orders([question()], load_prompts(), 1, seed=0)
    assert in_other_orders([question(options=())], load_prompts(), 2, seed=0) == []


def test_the_scorer_of_the_source_judges_by_the_moved_letter() -> None:
    from reward_score import compute_score

    for moved in in_other_orders([question()], load_prompts(), 3, seed=0):
        for letter in "ABC":
            text = f"<think>Because.</think><answer>{letter}</answer>"
            score = compute_score(**call_of(moved, Response(text, 9, 9, False)))
            assert (score["acc"] == 1.0) == (letter == moved.ground_truth)


@pytest.mark.parametrize(
    ("right", "known", "lucky"),
    [
        ({"as_prepared": [1, 1, 1, 1]}, True, False),
        ({"as_prepared": [1, 1, 0, 0]}, False, False),
        ({"as_prepared": [1, 1], "other_order_1": [1, 1], "other_order_2": [0, 0]}, True, False),
        # Right under one order of four: a favourite letter.
        ({"as_prepared": [1], "other_order_1": [0], "other_order_2": [0], "other_order_3": [0]}, False, True),
        ({"as_prepared": [1], "other_order_1": [0]}, False, True),
        ({"as_prepared": [0], "other_order_1": [1], "other_order_2": [1]}, True, False),
        ({"other_order_1": [1]}, True, False),
    ],
)
def test_a_question_is_known_if_right_under_most_orders(right: dict, known: bool, lucky: bool) -> None:
    answers = Answers({name: [bool(one) for one in samples] for name, samples in right.items()})
    assert (answers.is_known, answers.is_lucky) == (known, lucky)
