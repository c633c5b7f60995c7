"""Length budgets of questions: how they are drawn, and how the prompt states them."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from verl_medu1.length.budget import BUDGET_MODES, COUNTED

DISTRIBUTIONS = ("uniform", "loguniform", "fixed")
EXAMPLES = "none, exact:uniform:100:2000, max:loguniform:256:4096 or exact:fixed:20,40,80"


@dataclass(frozen=True)
class Budget:
    """Budget of one response, in tokens of what it counts (`COUNTED`); `tokens` is 0 for "none"."""

    mode: str = "none"
    tokens: int = 0
    counts: str = "response"


NO_BUDGET = Budget()


@dataclass(frozen=True)
class BudgetRule:
    """How budgets are drawn.

    Attributes:
        mode: "none" (no budget), "exact" (be near it) or "max" (do not exceed it).
        distribution: "uniform" or "loguniform" over the integers values[0]..values[1], or "fixed" for one of `values`.
        values: tokens, each at least 1; empty for "none".
        counts: "response" or "reasoning".
    """

    mode: str = "none"
    distribution: str = "fixed"
    values: tuple[int, ...] = ()
    counts: str = "response"

    def draw(self, rng: random.Random) -> Budget:
        """Draw a budget.

        Args:
            rng: random number generator; the same state gives the same budget.

        Returns:
            The budget of one row.

        Example:
            >>> BudgetRule("exact", "fixed", (40,)).draw(random.Random(0))
            Budget(mode='exact', tokens=40, counts='response')
        """
        if self.mode == "none":
            return Budget()
        if self.distribution == "fixed":
            return Budget(self.mode, rng.choice(self.values), self.counts)
        low, high = self.values
        if self.distribution == "uniform":
            return Budget(self.mode, rng.randint(low, high), self.counts)
        tokens = round(math.exp(rng.uniform(math.log(low), math.log(high))))
        return Budget(self.mode, min(max(tokens, low), high), self.counts)


def parse_budget_rule(text: str, counts: str = "response") -> BudgetRule:
    """Parse a rule from the command line: MODE[:DISTRIBUTION:VALUES].

    Args:
        text: "none", "exact:uniform:LOW:HIGH", "max:loguniform:LOW:HIGH", "exact:fixed:N,N,..." and so on.
        counts: what the budgets count, "response" or "reasoning".

    Returns:
        The rule.

    Raises:
        ValueError: the mode, the distribution or `counts` is unknown, or the values are not valid budgets.

    Example:
        >>> parse_budget_rule("max:uniform:100:2000")
        BudgetRule(mode='max', distribution='uniform', values=(100, 2000), counts='response')
    """
    if counts not in COUNTED:
        raise ValueError(f"--budget-counts is {counts!r}; choose one of {', '.join(COUNTED)}.")
    if text == "none":
        return BudgetRule()
    mode, _, rest = text.partition(":")
    distribution, _, numbers = rest.partition(":")
    if mode not in BUDGET_MODES or mode == "none" or distribution not in DISTRIBUTIONS:
        raise ValueError(f"--budget is {text!r}; write for example {EXAMPLES}.")
    try:
        values = tuple(int(number) for number in numbers.split("," if distribution == "fixed" else ":"))
    except ValueError:
        raise ValueError(
            f"--budget {text!r} has no whole numbers in {numbers!r}; write for example {EXAMPLES}."
        ) from None
    if min(values) < 1:
        raise ValueError(f"--budget {text!r} has the value {min(values)}; a budget needs at least one token.")
    if distribution != "fixed" and (len(values) != 2 or values[0] > values[1]):
        raise ValueError(f"--budget {text!r} needs the smallest and the largest number; write for example {EXAMPLES}.")
    return BudgetRule(mode, distribution, values, counts)


def draw_budget(rules: Sequence[BudgetRule], rng: random.Random) -> Budget:
    """Draw from one of several rules with equal probability, to mix budget modes in one data set.

    Example:
        >>> draw_budget([BudgetRule()], random.Random(0)).mode
        'none'
    """
    return rng.choice(rules).draw(rng)


def budget_sentence(budget: Budget, sentences: Mapping[str, Mapping[str, str]]) -> str:
    """Return the sentence with which the prompt states a budget.

    Args:
        budget: the row's budget.
        sentences: what is counted -> mode -> sentence, with {tokens} in place of the number.

    Returns:
        The sentence; "" for mode "none".

    Example:
        >>> budget_sentence(Budget("exact", 40), {"response": {"exact": "Use about {tokens} tokens."}})
        'Use about 40 tokens.'
    """
    return "" if budget.mode == "none" else sentences[budget.counts][budget.mode].format(tokens=budget.tokens)
