"""Length budgets: how far a response is from its budget. What that is worth: verl_medu1/penalties.py."""

BUDGET_MODES = ("none", "exact", "max")


def check_budget(mode: str, budget: float) -> None:
    """Raise a ValueError unless the mode is known, and its budget at least one token."""
    if mode not in BUDGET_MODES:
        raise ValueError(f"budget_mode is {mode!r}; choose one of {', '.join(BUDGET_MODES)}.")
    if mode != "none" and budget <= 0:
        raise ValueError(f"budget_tokens is {budget} with budget_mode {mode!r}; a budget needs at least one token.")


def budget_distance(length: float, mode: str, budget: float) -> float:
    """Tokens between a response and its budget.

    |L - N| for "exact", max(0, L - N) for "max", 0 for "none", with L the response's and N the budget's tokens.

    Args:
        length: tokens of the response, >= 0.
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
