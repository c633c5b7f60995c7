"""Length budgets: distances against hand-computed values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_medu1.length.budget import budget_distance, counted_tokens


@pytest.mark.parametrize(
    ("length", "mode", "budget", "distance"),
    [
        (100, "exact", 100, 0),
        (150, "exact", 100, 50),
        (50, "exact", 100, 50),
        (0, "exact", 100, 100),
        (60, "max", 100, 0),
        (100, "max", 100, 0),
        (125, "max", 100, 25),
        (77, "none", 0, 0),
    ],
)
def test_distance(length, mode, budget, distance):
    assert budget_distance(length, mode, budget) == distance


@pytest.mark.parametrize(("mode", "budget"), [("about", 10), ("exact", 0), ("max", -1)])
def test_impossible_budgets_are_refused(mode, budget):
    with pytest.raises(ValueError, match="budget"):
        budget_distance(1, mode, budget)


@pytest.mark.parametrize(
    ("text", "counted", "tokens"),
    [
        ("<think>ab</think><answer>B</answer>", "response", 35),
        ("<think>ab</think><answer>B</answer>", "reasoning", 17),
        ("ab</think>B</think>", "reasoning", 10),
        ("<think>never closed", "reasoning", 19),
        ("", "reasoning", 0),
    ],
)
def test_what_a_budget_counts(text, counted, tokens):
    assert counted_tokens(range(len(text)), counted, lambda part: text[: len(part)]) == tokens


@given(st.lists(st.sampled_from(["<think>", "x", "yz", "</thi", "nk>", "</think>", "<answer>"])))
def test_reasoning_ends_at_the_first_token_that_completes_the_tag(words):
    def decode(tokens):
        return "".join(words[token] for token in tokens)

    tokens = list(range(len(words)))
    counted = counted_tokens(tokens, "reasoning", decode)
    assert "</think>" not in decode(tokens[: max(0, counted - 1)])
    assert counted == len(words) or "</think>" in decode(tokens[:counted])


def test_something_else_to_count_is_refused():
    with pytest.raises(ValueError, match="budget_counts is 'words'; choose one of response, reasoning"):
        counted_tokens([1], "words", str)
