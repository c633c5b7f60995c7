"""Length budgets: drawing, reading and saying them."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_medu1.data.budget import Budget, BudgetRule, budget_sentence, draw_budget, parse_budget_rule

LIMITS = st.tuples(st.integers(1, 5000), st.integers(0, 5000)).map(lambda pair: (pair[0], sum(pair)))


@given(st.sampled_from(["exact", "max"]), st.sampled_from(["uniform", "loguniform"]), LIMITS, st.integers())
def test_a_drawn_budget_is_within_its_limits(mode, distribution, limits, seed):
    rule = parse_budget_rule(f"{mode}:{distribution}:{limits[0]}:{limits[1]}")
    budget = rule.draw(random.Random(seed))
    assert budget.mode == mode and limits[0] <= budget.tokens <= limits[1]
    assert budget == rule.draw(random.Random(seed))


def test_loguniform_draws_short_budgets_more_often_than_uniform():
    shares = {}
    for distribution in ("uniform", "loguniform"):
        rng, rule = random.Random(0), BudgetRule("max", distribution, (10, 1000))
        shares[distribution] = sum(rule.draw(rng).tokens <= 100 for _ in range(4000)) / 4000
    # Half of the logarithm of 10..1000 lies below 100, and a tenth of 10..1000 itself.
    assert shares["loguniform"] == pytest.approx(0.5, abs=0.05) and shares["uniform"] == pytest.approx(0.09, abs=0.03)


def test_fixed_values_and_several_rules_are_all_drawn():
    rules = [parse_budget_rule("none"), parse_budget_rule("exact:fixed:20,40"), parse_budget_rule("max:fixed:1")]
    rng = random.Random(0)
    assert {draw_budget(rules, rng) for _ in range(200)} == {
        Budget("none", 0),
        Budget("exact", 20),
        Budget("exact", 40),
        Budget("max", 1),
    }


@pytest.mark.parametrize(
    "text",
    ["", "exact", "exact:uniform", "exact:uniform:1", "exact:uniform:1:2:3", "exact:uniform:5:4", "exact:fixed:",
     "exact:fixed:0", "max:loguniform:0:10", "max:normal:1:2", "most:uniform:1:2", "exact:fixed:1.5", "none:fixed:1",
     "exact:uniform:-5:5"],
)  # fmt: skip
def test_a_rule_that_is_none_is_one_sentence(text):
    with pytest.raises(ValueError, match=r"^--budget .*\.$"):
        parse_budget_rule(text)


def test_the_budget_in_words():
    sentences = {
        "response": {"exact": "Use about {tokens} tokens.", "max": "At most {tokens}."},
        "reasoning": {"exact": "Think for {tokens}.", "max": "Think for at most {tokens}."},
    }
    assert budget_sentence(Budget("exact", 7), sentences) == "Use about 7 tokens."
    assert budget_sentence(Budget("max", 7), sentences) == "At most 7."
    assert budget_sentence(Budget("max", 7, "reasoning"), sentences) == "Think for at most 7."
    assert budget_sentence(Budget(), sentences) == ""
