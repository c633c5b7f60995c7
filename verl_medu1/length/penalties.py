"""Length penalties: one pure function each, over the lengths of the responses to one question.

A penalty takes a `Group` and returns one value per response, higher is better. Some values are relative to the other
responses of the group. `algorithm.length_penalty` selects one and where it is added: to the advantage of right answers
(clipped to [-1, 1], `verl_medu1/length/advantage.py`), or unclipped to the reward.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reward_score.schemes import release_length
from verl_medu1.length.budget import BUDGET_MODES, check_budget

Values = NDArray[np.float64]
# `algorithm.length_penalty.unit` -> the component that counts it. Budgets are in tokens.
TOKENS, CALLS, PRICES = "tokens", "calls", "prices"
UNITS = {TOKENS: "counted_tokens", CALLS: "calls", PRICES: "examination_cost"}


@dataclass(frozen=True)
class Group:
    """The responses to one question.

    Attributes:
        lengths: (G,) counted tokens of each response, or its calls, or what its examinations cost.
        correct: (G,) bool, whether each is right.
        mode: the question's budget mode: "none", "exact" or "max".
        budget: N, in tokens; ignored if the mode is "none".
        longest: most tokens of a response (`data.max_response_length`), or most calls.
        tolerance: share of the budget that costs nothing; only `relative_distance` uses it.
        free_share: share of the limit that costs nothing; only `soft_overlong_cosine` uses it.

    Raises:
        ValueError: an unknown mode, a budget below one token, or arrays of different lengths.
    """

    lengths: Values
    correct: NDArray[np.bool_]
    mode: str = "none"
    budget: float = 0.0
    longest: float = 1.0
    tolerance: float = 0.0
    free_share: float = 0.5

    def __post_init__(self) -> None:
        check_budget(self.mode, self.budget)
        if self.lengths.shape != self.correct.shape:
            raise ValueError(f"a group has {len(self.lengths)} lengths and {len(self.correct)} verdicts.")

    @property
    def limit(self) -> float:
        """The budget, or the longest response where the question has none."""
        return self.longest if self.mode == "none" else self.budget


def relative_distance(group: Group) -> Values:
    """1 within the tolerance, falling to -1 one budget beyond it: s = 1 - 2 min(1, max(0, d - tolerance N) / N).

    d = |L - N| for exact and max(0, L - N) for maximum budgets. Relative to the budget, unlike the fixed 500 and 1500
    tokens of Med-U1's release, so that budgets of 100 and of 2000 tokens are equally strict.

    Example: N = 100 exact, L = 150: 0; N = 100 at most, L = 60: 1.
    """
    over = group.lengths - group.budget
    distance = np.abs(over) if group.mode == "exact" else np.maximum(0.0, over)
    free = group.tolerance * group.budget
    return 1.0 - 2.0 * np.minimum(1.0, np.maximum(0.0, distance - free) / group.budget)


def med_u1_exact(group: Group) -> Values:
    """clip(1 - |L - N| / 1500, -1, 1), as published: Med-U1's release (arXiv 2506.12307).

    Example: N = 1000, L = 1750: 0.5.
    """
    return _release_lengths(group, "exact")


def med_u1_max(group: Group) -> Values:
    """clip((N - L) / 500, -1, 1), as published: Med-U1's release. Its maximum is at 500 tokens below the budget.

    Example: N = 1000, L = 750: 0.5.
    """
    return _release_lengths(group, "max")


def _release_lengths(group: Group, mode: str) -> Values:
    return np.array([release_length(length, group.budget, mode) for length in group.lengths.tolist()])


def lcpo_exact(group: Group, alpha: float = 0.0003) -> Values:
    """-alpha |L - N|: LCPO-Exact (L1, arXiv 2503.04697), alpha as in L1's code.

    Example: N = 1000, L = 2000: -0.3.
    """
    return -alpha * np.abs(group.lengths - group.budget)


def lcpo_max(group: Group, alpha: float = 0.0003, delta: float = 0.5) -> Values:
    """clip(alpha (N - L) + delta, 0, 1) for right answers, 0 for wrong ones: LCPO-Max (L1, arXiv 2503.04697).

    Formula and delta are the paper's; alpha is the one that L1 states, for LCPO-Exact (run_l1_exact.sh). In the paper
    this value is the whole reward, so that a right answer far over its budget earns as little as a wrong one; here it
    comes on top of the reward. L1's code has another form, (clip(alpha (N - L), -1, 1) + 1) / 2, and its
    run_l1_max.sh sets no alpha.

    Example: N = 1000, L = 1000: 0.5 for a right answer; L = 1500: 0.35.
    """
    return np.where(group.correct, np.clip(alpha * (group.budget - group.lengths) + delta, 0.0, 1.0), 0.0)


def dapo_overlong(group: Group, buffer_share: float = 0.2) -> Values:
    """0 up to M - B, falling linearly to -1 at M, -1 beyond: DAPO's soft overlong punishment (arXiv 2503.14476).

    M is the budget, or the maximum response length if there is none; B = `buffer_share` M, a fifth, like DAPO's 4096
    of 20480.

    Example: M = 1000, L = 900: -0.5.
    """
    buffer = buffer_share * group.limit
    return -np.clip((group.lengths - (group.limit - buffer)) / buffer, 0.0, 1.0)


def soft_overlong_cosine(group: Group, cap: float = 0.5) -> Values:
    """0 up to F, then -cap (1 - cos(pi (L - F) / (M - F))) / 2, -cap from M on; 0 for wrong answers.

    M is the budget, or the maximum response length if there is none; F = `free_share` M. A right answer is free up to
    F, and costs half of the cap at half of the way from F to M. WiNGPT-3.0 (arXiv 2505.17387) describes such a term:
    none for right answers of up to 8K tokens, then a cosine up to 0.5. That the ramp ends at M is ours.

    Example: M = 1000, F = 500, L = 750: -0.25 for a right answer.
    """
    free = group.free_share * group.limit
    ramp = np.clip((group.lengths - free) / (group.limit - free), 0.0, 1.0)
    return np.where(group.correct, -cap * (1.0 - np.cos(np.pi * ramp)) / 2.0, 0.0)


def kimi(group: Group) -> Values:
    """0.5 - (L - L_min) / (L_max - L_min) over the group, at most 0 for wrong answers: Kimi k1.5 (arXiv 2501.12599).

    0 for all if all have the same length.

    Example: right answers of 100, 200 and 300 tokens: 0.5, 0, -0.5.
    """
    position = _position(group.lengths)
    if position is None:
        return np.zeros_like(group.lengths)
    return np.where(group.correct, 0.5 - position, np.minimum(0.0, 0.5 - position))


def alp(group: Group) -> Values:
    """-max(p, 1 / G) L / M, p the share of right answers, M the maximum response length: ALP (arXiv 2506.05256).

    Tokens cost most on easy questions. The paper's term is -(beta / N) max(p, 1 / G) L, with N a constant that
    normalises the length; that N is M is ours. Our weight is then beta, and a token of a question that is always
    answered right costs weight / M.

    Example: half of the group right, M = 1000, L = 500: -0.25.
    """
    share = max(float(group.correct.mean()), 1.0 / len(group.correct)) if len(group.correct) else 0.0
    return -share * group.lengths / group.longest


def grpo_lead(group: Group, alpha: float = 0.05) -> Values:
    """exp(-alpha z) - 1 for right answers, z = (L - mean) / deviation over them: GRPO-LEAD (arXiv 2504.09696).

    The reward of a right answer is exp(-alpha z) there, which is 1 plus this value. The deviation divides by the
    number of right answers less one, and alpha is 0.05, as in the authors' main_ppo.py. That code leaves alone a group
    whose three shortest answers average 4,000 tokens or less; we have no such limit. 0 for wrong answers (the paper's
    penalty for them does not depend on length), and for all if all right answers have the same length.

    Example: right answers of 100 and 300 tokens: exp(0.05 / sqrt(2)) - 1 and exp(-0.05 / sqrt(2)) - 1.
    """
    right = group.lengths[group.correct]
    deviation = right.std(ddof=1) if len(right) > 1 else 0.0
    if deviation == 0.0:
        return np.zeros_like(group.lengths)
    return np.where(group.correct, np.expm1(-alpha * (group.lengths - right.mean()) / deviation), 0.0)


def short_rl(group: Group, tolerance_tokens: float = 100.0) -> Values:
    """Kimi's score among right answers, 0.5 up to 100 tokens over the shortest: Short-RL (arXiv 2505.12284).

    0 for wrong answers. 100 tokens are the authors' setting for mathematics (200 for logic puzzles). The paper's gate
    on the accuracy of the whole batch is left out: the advantage shaping already protects accuracy.

    Example: right answers of 100, 200 and 500 tokens: 0.5, 0.5, -0.5.
    """
    right = group.lengths[group.correct]
    position = _position(right)
    if position is None:
        return np.where(group.correct, 0.5, 0.0) if len(right) else np.zeros_like(group.lengths)
    values = np.zeros_like(group.lengths)
    values[group.correct] = np.where(right > right.min() + tolerance_tokens, 0.5 - position, 0.5)
    return values


def group_relative(group: Group) -> Values:
    """1 - (L - L_min) / (L_max - L_min) among right answers, minus its mean: NeMo-RL's group-relative penalty.

    0 for wrong answers, and for all if all right answers have the same length.

    Example: right answers of 100, 200 and 300 tokens: 0.5, 0, -0.5.
    """
    position = _position(group.lengths[group.correct])
    values = np.zeros_like(group.lengths)
    if position is not None:
        values[group.correct] = position.mean() - position
    return values


def _position(lengths: Values) -> Values | None:
    """Scale lengths from 0 (shortest) to 1 (longest); return None unless there are two different lengths."""
    span = np.ptp(lengths) if len(lengths) else 0.0
    return (lengths - lengths.min()) / span if span else None


@dataclass(frozen=True)
class Penalty:
    """A penalty and the budget modes it applies to."""

    function: Callable[[Group], Values]
    modes: frozenset[str]

    def values(self, group: Group) -> Values:
        """Return one value per response; zeros if the penalty does not apply to the question's budget mode."""
        return self.function(group) if group.mode in self.modes else np.zeros_like(group.lengths)


_ANY = frozenset(BUDGET_MODES)
PENALTIES = {
    "relative_distance": Penalty(relative_distance, frozenset(("exact", "max"))),
    "med_u1_exact": Penalty(med_u1_exact, frozenset(("exact",))),
    "med_u1_max": Penalty(med_u1_max, frozenset(("max",))),
    "lcpo_exact": Penalty(lcpo_exact, frozenset(("exact",))),
    "lcpo_max": Penalty(lcpo_max, frozenset(("max",))),
    "dapo_overlong": Penalty(dapo_overlong, frozenset(("none", "max"))),
    "soft_overlong_cosine": Penalty(soft_overlong_cosine, frozenset(("none", "max"))),
    "kimi": Penalty(kimi, _ANY),
    "alp": Penalty(alp, _ANY),
    "grpo_lead": Penalty(grpo_lead, _ANY),
    "short_rl": Penalty(short_rl, _ANY),
    "group_relative": Penalty(group_relative, _ANY),
}

# Those that can count calls in place of tokens: budgets, and the tolerance of Short-RL, are in tokens.
OF_CALLS = tuple(name for name, penalty in PENALTIES.items() if "none" in penalty.modes and name != "short_rl")
# Those that can count prices: they compare the responses of a group, and know of no most that one may cost.
OF_PRICES = ("kimi", "grpo_lead", "group_relative")


def get_penalty(name: str) -> Penalty:
    """Return the penalty of that name.

    Raises:
        ValueError: there is no such penalty.

    Example:
        >>> sorted(get_penalty("med_u1_max").modes)
        ['max']
    """
    if name not in PENALTIES:
        raise ValueError(f"algorithm.length_penalty.name is {name!r}; choose one of {', '.join(sorted(PENALTIES))}.")
    return PENALTIES[name]
