"""Constraints: a multiplier for each cost keeps its mean at or below a limit, by changing the advantages.

The maximum of the reward subject to `mean cost <= limit` is sought as a saddle point (a Lagrangian): the policy follows
the reward less each cost times its multiplier, and each multiplier follows how far its cost is above the limit.
"""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from verl.trainer.ppo.core_algos import get_adv_estimator_fn

from verl_medu1.config.constraints import Constraint, read_constraints
from verl_medu1.run_folder.checkpoints import MULTIPLIERS
from verl_medu1.run_folder.whole_file import replace_file

_LOGGER = logging.getLogger(__name__)
# The estimator that normalises costs as `algorithm.adv_estimator` normalises rewards, unless it is the same: GDPO's
# first stage is GRPO of one component. Its second, over the batch, would give costs to groups that have equal ones.
ESTIMATOR_OF_COSTS = {"medu1_gdpo": "grpo"}
# Those that `algorithm.norm_adv_by_std_in_grpo` is for; GDPO always divides.
BY_STD = ("grpo", "grpo_vectorized")


@dataclass
class Multiplier:
    """The multiplier of one constraint, by proportional and integral control (arXiv 2007.03964, no derivative).

    With the excess e = mean cost - limit of a step:

        integral <- clip(integral + ki * e, 0, max)
        value     = clip(integral + kp * e, 0, max)

    The integral rises if and only if the cost is above the limit, until it is at `max`; it falls if and only if the
    cost is below, until it is at 0. The value is never negative, and 0 until a cost has been above the limit.

    Attributes:
        limit, kp, ki, max: See `verl_medu1.config.constraints.Constraint`.
        integral, value: The state.

    Example:
        >>> multiplier = Multiplier(limit=0.1, kp=1.0, ki=0.5, max=10.0)
        >>> [round(multiplier.update(cost), 3) for cost in (0.5, 0.5, 0.1, 0.0, 0.0)]
        [0.6, 0.8, 0.4, 0.25, 0.2]
    """

    limit: float
    kp: float
    ki: float
    max: float
    integral: float = 0.0
    value: float = 0.0

    def update(self, cost: float) -> float:
        """Take the mean cost of a step, and return the new value.

        Raises:
            ValueError: The cost is not finite.
        """
        if not math.isfinite(cost):
            raise ValueError(f"the mean cost is {cost}, which is not finite")
        excess = cost - self.limit
        self.integral = min(max(self.integral + self.ki * excess, 0.0), self.max)
        self.value = min(max(self.integral + self.kp * excess, 0.0), self.max)
        return self.value


def combine(base: torch.Tensor, costs: Sequence[torch.Tensor], multipliers: Sequence[float]) -> torch.Tensor:
    """Return (A_r - sum of lambda_i * A_ci) / (1 + sum of lambda_i).

    The division keeps the size of the advantages while the multipliers grow. With multipliers of 0 the advantages are
    returned as they are.

    Args:
        base: (B, T) advantages of the reward, A_r.
        costs: (B, T) advantages of each cost, A_ci.
        multipliers: lambda_i >= 0 of each.

    Example:
        >>> combine(torch.tensor([[1.0]]), [torch.tensor([[2.0]])], [1.0]).tolist()
        [[-0.5]]
    """
    total = sum(multipliers)
    if not total:
        return base
    penalty = torch.zeros_like(base)
    for advantages, multiplier in zip(costs, multipliers, strict=True):
        penalty.add_(advantages.to(base.dtype), alpha=multiplier)
    return (base - penalty) / (1.0 + total)


def costs_of(
    name: str, constraint: Constraint, samples: Sequence[Mapping[str, Any]], is_padding: Sequence[bool]
) -> tuple[np.ndarray, int]:
    """Return the cost of each response, and how many that the constraint is for have none that is a finite number.

    Args:
        name: Of the constraint.
        constraint: Its settings.
        samples: Components of each of B responses, with `data_source`.
        is_padding: Rows that are no responses.

    Returns:
        (B,) costs, NaN for responses that do not count: padding, other data sources, no finite number; and the number
        of the latter.

    Raises:
        RuntimeError: A response that counts lacks the component.
    """
    costs, without = np.full(len(samples), np.nan), 0
    for row, (sample, padding) in enumerate(zip(samples, is_padding, strict=True)):
        if padding or (constraint.sources is not None and sample["data_source"] not in constraint.sources):
            continue
        if constraint.cost not in sample:
            raise RuntimeError(
                f"algorithm.constraints.{name}.cost is {constraint.cost!r}, which the rewards of data source "
                f"{sample['data_source']!r} come without; they have {', '.join(sorted(sample))}"
            )
        value = sample[constraint.cost]
        if isinstance(value, Real | np.bool_) and math.isfinite(value):
            costs[row] = float(value)
        else:
            without += 1
    return costs, without


def cost_advantages(costs: np.ndarray, uids: Sequence[str], mask: torch.Tensor, algorithm: DictConfig) -> torch.Tensor:
    """Return the advantages of a cost, by the estimator of the rewards: higher for a response that costs more.

    A response without a cost gets 0 and is in no mean. A group whose costs are equal gets 0, as does a lone cost.

    Args:
        costs: (B,), NaN for responses that do not count.
        uids: (B,) question of each response.
        mask: (B, T), 1 on the response's tokens.
        algorithm: The node `algorithm`.

    Returns:
        (B, T).
    """
    counted = np.isfinite(costs)
    # What does not count has a group of its own.
    index = np.where(counted, np.array(uids), [f"alone-{row}" for row in range(len(uids))])
    # The estimators that constraints are for do not change with a shift of a whole group. Without its least cost, a
    # group of equal costs has zeros, and exactly zero is what they make of it, as of a lone zero.
    group = np.unique(index, return_inverse=True)[1]
    least = np.full(len(costs), np.inf)
    np.minimum.at(least, group[counted], costs[counted])
    relative = np.where(counted, costs - least[group], 0.0)
    rewards = torch.zeros(mask.shape, dtype=torch.float32)
    rewards[:, -1] = torch.from_numpy(relative).float()
    estimate = get_adv_estimator_fn(ESTIMATOR_OF_COSTS.get(algorithm.adv_estimator, algorithm.adv_estimator))
    by_std = {"norm_adv_by_std_in_grpo": algorithm.norm_adv_by_std_in_grpo} if algorithm.adv_estimator in BY_STD else {}
    advantages, _ = estimate(
        token_level_rewards=rewards, response_mask=mask, index=index.astype(object), config=algorithm, **by_std
    )
    return advantages


class Constraints:
    """All constraints of a run, with the state of their multipliers.

    Args:
        algorithm: The node `algorithm` of a checked configuration.
    """

    def __init__(self, algorithm: DictConfig) -> None:
        self._algorithm = algorithm
        self._constraints = read_constraints(algorithm)
        self.multipliers = {
            name: Multiplier(one.limit, one.kp, one.ki, one.max) for name, one in self._constraints.items()
        }

    def __bool__(self) -> bool:
        return bool(self._constraints)

    def constrain(
        self,
        base: torch.Tensor,
        mask: torch.Tensor,
        keys: Sequence[str],
        samples: Sequence[Mapping[str, Any]],
        is_padding: Sequence[bool],
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """Update the multipliers with the costs of a batch, and return the constrained advantages and the metrics.

        A step without a response that a constraint is for leaves its multiplier as it is.

        Args:
            base: (B, T) advantages of the reward.
            mask: (B, T), 1 on the response's tokens.
            keys: (B,) verl's keys of the responses.
            samples: Components of each response, with `uid` and `data_source`.
            is_padding: Rows that are no responses.

        Returns:
            (B, T), and `constraint/NAME/cost_mean`, `/lambda`, `/at_cap` (0 or 1), and `/no_number` if there are any.

        Raises:
            RuntimeError: The rewards lack a component, or an answer has several sequences, of which each would count.
        """
        if any(not key.endswith("_0") for key in keys):
            raise RuntimeError(
                "algorithm.constraints is set, and the agent loop returned several sequences for one answer, each of "
                "which would count; set algorithm.constraints=null"
            )
        metrics: dict[str, float] = {}
        uids = [str(sample["uid"]) for sample in samples]
        advantages = []
        for name, multiplier in self.multipliers.items():
            costs, without = costs_of(name, self._constraints[name], samples, is_padding)
            if without:
                metrics[f"constraint/{name}/no_number"] = without
            if np.isfinite(costs).any():
                mean = float(np.nanmean(costs))
                multiplier.update(mean)
                metrics[f"constraint/{name}/cost_mean"] = mean
            metrics[f"constraint/{name}/lambda"] = multiplier.value
            metrics[f"constraint/{name}/at_cap"] = float(multiplier.value >= multiplier.max)
            advantages.append(cost_advantages(costs, uids, mask, self._algorithm))
        values = [multiplier.value for multiplier in self.multipliers.values()]
        return combine(base, advantages, values), metrics

    def save(self, step: Path) -> None:
        """Write the state into the folder of a checkpoint, exactly; nothing without constraints."""
        if self:
            state = {
                name: {"integral": multiplier.integral, "lambda": multiplier.value}
                for name, multiplier in self.multipliers.items()
            }
            step.mkdir(parents=True, exist_ok=True)
            replace_file(step / MULTIPLIERS, [json.dumps(state, indent=1), "\n"])

    def load(self, step: Path) -> None:
        """Read the state from the folder of a checkpoint. A constraint that it does not have begins at 0.

        Raises:
            ValueError: The file can't be read, or a state is not a number of at least 0.
        """
        if not self:
            return
        file = step / MULTIPLIERS
        try:
            state = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
            if not isinstance(state, dict):
                raise TypeError("not an object")
            for name, multiplier in self.multipliers.items():
                if name not in state:
                    _LOGGER.warning("%s has no multiplier of the constraint %s, which begins at 0", step, name)
                    continue
                # A run may go on with a lower cap, by --allow-changed.
                multiplier.integral = min(_state(state[name]["integral"]), multiplier.max)
                multiplier.value = min(_state(state[name]["lambda"]), multiplier.max)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{file} can't be read as the multipliers of algorithm.constraints ({type(error).__name__}: {error}); "
                "resume from another checkpoint."
            ) from None


def _state(value: Any) -> float:
    number = float(value)
    if not 0 <= number < math.inf:
        raise ValueError(f"{value!r} is not a number of at least 0")
    return number
