"""Length budgets: how far a response is from its budget, and what that is worth. Pure functions of plain numbers."""

from collections.abc import Callable

BUDGET_MODES = ("none", "exact", "max")


def _check(mode: str, budget: float) -> None:
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
    _check(mode, budget)
    if mode == "none":
        return 0
    return abs(length - budget) if mode == "exact" else max(0, length - budget)


def relative_distance(length: float, mode: str, budget: float, tolerance: float = 0.0) -> float:
    """Length score in [-1, 1], higher is better: 1 within the tolerance, -1 from a distance of one budget on.

    s = 1 - 2 * min(1, max(0, d - tolerance * N) / N), with d the `budget_distance` and N the budget; 0 for "none".
    Relative to the budget, unlike the fixed 500 and 1500 tokens of Med-U1's release, so that a budget of 100
    and one of 2000 are held to the same standard.

    Args:
        length: tokens of the response.
        mode: "none", "exact" or "max".
        budget: tokens of the budget.
        tolerance: free distance as a share of the budget, >= 0.

    Raises:
        ValueError: an unknown mode, or a budget below one token.

    Example:
        >>> relative_distance(150, "exact", 100), relative_distance(60, "max", 100)
        (0.0, 1.0)
    """
    distance = budget_distance(length, mode, budget)
    if mode == "none":
        return 0.0
    return 1.0 - 2.0 * min(1.0, max(0.0, distance - tolerance * budget) / budget)


LengthPenalty = Callable[[float, str, float, float], float]

PENALTIES: dict[str, LengthPenalty] = {"relative_distance": relative_distance}


def get_penalty(name: str) -> LengthPenalty:
    """The length penalty of that name.

    Raises:
        ValueError: no penalty has that name.

    Example:
        >>> get_penalty("relative_distance")(150, "exact", 100, 0.0)
        0.0
    """
    if name not in PENALTIES:
        raise ValueError(f"algorithm.length_penalty.name is {name!r}; choose one of {', '.join(sorted(PENALTIES))}.")
    return PENALTIES[name]
