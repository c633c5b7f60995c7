"""Length budgets: which tokens are counted, and their distance from the budget. For its penalty see penalties.py."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reward_score.response import THINK_CLOSE

BUDGET_MODES = ("none", "exact", "max")
# What a budget counts: the whole response including its end of turn, or the reasoning up to </think>.
COUNTED = ("response", "reasoning")


def check_budget(mode: str, budget: float) -> None:
    """Raise a ValueError unless the mode is known and its budget is at least one token."""
    if mode not in BUDGET_MODES:
        raise ValueError(f"budget_mode is {mode!r}; choose one of {', '.join(BUDGET_MODES)}.")
    if mode != "none" and budget <= 0:
        raise ValueError(f"budget_tokens is {budget} with budget_mode {mode!r}; a budget needs at least one token.")


def what_is_counted(extra_info: Mapping[str, Any]) -> str:
    """Return what a row's budget counts: its `budget_counts`, or "response" (the whole response) if it has none."""
    return extra_info.get("budget_counts") or "response"


def counted_tokens(tokens: Sequence[int], counted: str, decode: Callable[[Sequence[int]], str]) -> int:
    """Return the number of a response's tokens that its budget counts.

    Args:
        tokens: tokens of the response, including the end of turn.
        counted: "response" for all tokens; "reasoning" for those up to the one that completes the first `</think>`,
            or all if there is none.
        decode: tokens -> text; the text of the first tokens must be a prefix of the text of all.

    Raises:
        ValueError: `counted` is neither of the two.

    Example:
        >>> words = ["<think>", "two", "</think>", "B"]
        >>> counted_tokens([0, 1, 2, 3], "reasoning", lambda tokens: "".join(words[token] for token in tokens))
        3
    """
    if counted not in COUNTED:
        raise ValueError(f"budget_counts is {counted!r}; choose one of {', '.join(COUNTED)}.")
    if counted == "response" or THINK_CLOSE not in decode(tokens):
        return len(tokens)
    short, enough = 0, len(tokens)
    while enough - short > 1:
        middle = (short + enough) // 2
        short, enough = (short, middle) if THINK_CLOSE in decode(tokens[:middle]) else (middle, enough)
    return enough


def budget_distance(length: float, mode: str, budget: float) -> float:
    """Return the distance between the counted tokens and the budget, in tokens.

    |L - N| for "exact", max(0, L - N) for "max", 0 for "none", with L the counted tokens and N the budget.

    Args:
        length: tokens that the budget counts, >= 0.
        mode: "none", "exact" or "max".
        budget: tokens of the budget, > 0 unless mode is "none".

    Raises:
        ValueError: an unknown mode, or a budget below one token.

    Example:
        >>> budget_distance(90, "exact", 100), budget_distance(90, "max", 100), budget_distance(130, "max", 100)
        (10, 0, 30)
    """
    check_budget(mode, budget)
    if mode == "none":
        return 0
    return abs(length - budget) if mode == "exact" else max(0, length - budget)
