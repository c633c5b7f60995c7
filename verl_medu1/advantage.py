"""The advantage-shaping hook: moves right answers within their group by how well they keep to their length budget."""

import torch


def shape_advantages(
    advantages: torch.Tensor,
    response_mask: torch.Tensor,
    group: torch.Tensor,
    correct: torch.Tensor,
    length_score: torch.Tensor,
    weight: float | torch.Tensor,
) -> torch.Tensor:
    """Add a length term to the advantages of right answers, on top of any base estimator.

    For each right answer i of group g, with s the length scores and R_g the right answers of the group:

        delta_i = c_g * weight * (s_i - mean over R_g of s)

    where c_g in [0, 1] is the largest factor with which no right answer of the group falls below a wrong one, or
    below zero where it was above zero. Hence wrong answers are never moved, a group without a right answer is left
    alone, what is added sums to zero over R_g, and a better length score never gets less.

    Args:
        advantages: (B, T) advantages of the base estimator.
        response_mask: (B, T), nonzero on the response's tokens.
        group: (B,) integer label of the prompt that each response answers.
        correct: (B,) bool, whether the answer is right.
        length_score: (B,) in [-1, 1], higher is better.
        weight: strength >= 0, in units of the base advantage; 0 returns the base advantages. A number, or (B,) with
            one value for all rows of a group.

    Returns:
        (B, T) shaped advantages, a new tensor on the same device.

    Raises:
        ValueError: a negative weight.

    Example:
        >>> shaped = shape_advantages(torch.zeros(2, 1), torch.ones(2, 1), torch.tensor([0, 0]),
        ...                           torch.tensor([True, True]), torch.tensor([1.0, 0.0]), 0.5)
        >>> shaped.flatten().tolist()
        [0.25, -0.25]
    """
    weight = torch.as_tensor(weight, dtype=advantages.dtype, device=advantages.device)
    if bool((weight < 0).any()):
        raise ValueError(f"algorithm.length_penalty.weight is {weight.min():g}; it must be at least 0.")
    mask = response_mask.bool()
    group_of = torch.unique(group, return_inverse=True)[1]
    groups = int(group_of.max()) + 1 if group_of.numel() else 0
    right = correct.bool() & mask.any(dim=1)
    wrong = ~correct.bool() & mask.any(dim=1)
    infinity = torch.finfo(advantages.dtype).max

    def over_group(values: torch.Tensor, members: torch.Tensor, reduce: str, start: float) -> torch.Tensor:
        result = values.new_full((groups,), start)
        return result.scatter_reduce(0, group_of[members], values[members], reduce=reduce, include_self=True)[group_of]

    score = length_score.to(advantages.dtype)
    count = over_group(torch.ones_like(score), right, "sum", 0.0).clamp(min=1.0)
    delta = torch.where(right, weight * (score - over_group(score, right, "sum", 0.0) / count), torch.zeros_like(score))

    lowest = advantages.masked_fill(~mask, infinity).amin(dim=1)
    highest_wrong = over_group(advantages.masked_fill(~mask, -infinity).amax(dim=1), wrong, "amax", -infinity)
    floor = torch.where(lowest > 0, highest_wrong.clamp(min=0.0), highest_wrong)
    falls = right & (delta < 0)
    room = (lowest - floor).clamp(min=0.0)
    # One part in 10^5 stays unused, so that rounding never carries an advantage over its floor.
    largest_factor = torch.where(falls, room / delta.abs().clamp(min=1e-12) * (1 - 1e-5), torch.ones_like(delta))
    delta = delta * over_group(largest_factor, falls, "amin", 1.0)

    moved = mask & (delta != 0).unsqueeze(1)
    return torch.where(moved, advantages + delta.unsqueeze(1), advantages)
