"""Advantage shaping: reorders right answers within their group by how well they keep to their length budget."""

from typing import NamedTuple

import torch

# Advantages processed at a time: a megabyte in float32, which fits a core's cache.
BLOCK = 1 << 18


class Shaped(NamedTuple):
    """Advantages with the length term.

    Attributes:
        advantages: (B, T), on the same device.
        change: (B,) what was added to the advantage of each token of the response.
        factor: (B,) c_g of the response's group; NaN if the term asks for nothing there, which has no two right
            answers with different length scores.
    """

    advantages: torch.Tensor
    change: torch.Tensor
    factor: torch.Tensor


def shape_advantages(
    advantages: torch.Tensor,
    response_mask: torch.Tensor,
    group: torch.Tensor,
    correct: torch.Tensor,
    length_score: torch.Tensor,
    weight: float | torch.Tensor,
    in_place: bool = False,
) -> Shaped:
    """Add a length term to the advantages of right answers, on top of any base estimator.

    For each right answer i of group g, with s the length scores and R_g the right answers of the group:

        delta_i = c_g * weight * (s_i - mean over R_g of s)

    where c_g in [0, 1] is the largest factor for which no right answer of the group falls below a wrong one, or from
    above zero to below zero. An answer is compared by its mean over its tokens, which for most estimators all have the
    same advantage. Hence wrong answers and groups without a right answer do not change, the deltas sum to
    zero over R_g, and a higher length score never gets a smaller delta.

    Args:
        advantages: (B, T) advantages of the base estimator.
        response_mask: (B, T), 1 on the response's tokens and 0 elsewhere.
        group: (B,) integer label of the prompt that each response answers.
        correct: (B,) bool, whether the answer is right.
        length_score: (B,) in [-1, 1], higher is better.
        weight: strength >= 0, in units of the base advantage; 0 returns the base advantages. A number, or (B,) with
            the same value for all rows of a group.
        in_place: change `advantages` itself, which saves a copy.

    Raises:
        ValueError: a negative weight.

    Example:
        >>> shaped = shape_advantages(torch.zeros(2, 1), torch.ones(2, 1), torch.tensor([0, 0]),
        ...                           torch.tensor([True, True]), torch.tensor([1.0, 0.0]), 0.5)
        >>> shaped.advantages.flatten().tolist()
        [0.25, -0.25]
    """
    weight = torch.as_tensor(weight, dtype=advantages.dtype, device=advantages.device)
    if bool((weight < 0).any()):
        raise ValueError(f"algorithm.length_penalty.weight is {weight.min():g}; it must be at least 0.")
    group_of = torch.unique(group, return_inverse=True)[1]
    groups = int(group_of.max()) + 1 if group_of.numel() else 0
    level, has_tokens = _levels(advantages, response_mask)
    right, wrong = correct.bool() & has_tokens, ~correct.bool() & has_tokens

    def over_group(values: torch.Tensor, members: torch.Tensor, reduce: str, start: float) -> torch.Tensor:
        result = values.new_full((groups,), start)
        return result.scatter_reduce(0, group_of[members], values[members], reduce=reduce, include_self=True)[group_of]

    score = length_score.to(advantages.dtype)
    count = over_group(torch.ones_like(score), right, "sum", 0.0).clamp(min=1.0)
    delta = torch.where(right, weight * (score - over_group(score, right, "sum", 0.0) / count), torch.zeros_like(score))

    highest_wrong = over_group(level, wrong, "amax", -torch.finfo(level.dtype).max)
    floor = torch.where(level > 0, highest_wrong.clamp(min=0.0), highest_wrong)
    falls = right & (delta < 0)
    room = (level - floor).clamp(min=0.0)
    # Keep one part in 10^5 of the room, so that rounding never takes an advantage below its floor.
    largest_factor = torch.where(falls, room / delta.abs().clamp(min=1e-12) * (1 - 1e-5), torch.ones_like(delta))
    factor = over_group(largest_factor, falls, "amin", 1.0)
    delta = delta * factor
    asks = over_group(falls.to(factor.dtype), falls, "amax", 0.0) > 0

    shaped = advantages if in_place else advantages.clone()
    # Skip unchanged rows: adding zero would turn -0.0 into 0.0.
    for rows in delta.nonzero().flatten().split(_rows_of_a_block(advantages)):
        shaped[rows] = torch.addcmul(shaped[rows], response_mask[rows].to(shaped.dtype), delta[rows].unsqueeze(1))
    return Shaped(shaped, delta, factor.masked_fill(~asks, torch.nan))


def _rows_of_a_block(advantages: torch.Tensor) -> int:
    return max(1, BLOCK // max(1, advantages.shape[1]))


def _levels(advantages: torch.Tensor, response_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the (B,) mean advantage over each response's tokens, and (B,) whether it has any."""
    lowest, highest = _extremes(advantages, response_mask)
    level = lowest.clone()
    # Equal advantages have themselves as mean, without rounding and without another pass.
    for rows in (lowest < highest).nonzero().flatten().split(_rows_of_a_block(advantages)):
        mask = response_mask[rows].to(advantages.dtype)
        level[rows] = (advantages[rows] * mask).sum(1) / mask.sum(1)
    return level, lowest <= highest


def _extremes(advantages: torch.Tensor, response_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the (B,) lowest and highest advantages over each response's tokens; lowest > highest if it has none."""
    lowest, highest = advantages.new_empty(len(advantages)), advantages.new_empty(len(advantages))
    # Larger than any advantage, yet small enough that adding the two does not overflow.
    beyond = torch.finfo(advantages.dtype).max / 4
    step = _rows_of_a_block(advantages)
    for start in range(0, len(advantages), step):
        rows = slice(start, start + step)
        # Add and subtract: on a CPU this is many times faster than torch's masked_fill and where.
        outside = (1 - response_mask[rows]).to(advantages.dtype)
        torch.amin(torch.add(advantages[rows], outside, alpha=beyond), dim=1, out=lowest[rows])
        torch.amax(torch.sub(advantages[rows], outside, alpha=beyond), dim=1, out=highest[rows])
    return lowest, highest
