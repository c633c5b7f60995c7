"""The constraints of a configuration, `algorithm.constraints`, with the defaults filled in."""

from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

# A cost that the trainer computes itself, from the log-probs of a reference model (training/reference.py).
REFERENCE_SURPRISAL = "reference_surprisal"


class Constraint(NamedTuple):
    """One entry of `algorithm.constraints`, with `algorithm.constraint_defaults` for what it leaves out.

    Attributes:
        cost: Component of the rewards whose mean is limited, or `REFERENCE_SURPRISAL`; lower is better.
        limit: What its mean must not exceed, in units of the component.
        sources: Data sources whose answers count; None: all.
        kp: Proportional gain: multiplier per unit of cost above the limit in this step.
        ki: Integral gain: multiplier per unit of cost above the limit, summed over the steps.
        max: The multiplier never exceeds this.
    """

    cost: str
    limit: float
    sources: tuple[str, ...] | None
    kp: float
    ki: float
    max: float


def read_constraints(algorithm: DictConfig) -> dict[str, Constraint]:
    """Return the constraints of a checked configuration, by name.

    Args:
        algorithm: The node `algorithm`.

    Example:
        >>> defaults = {"sources": None, "kp": 1.0, "ki": 0.5, "max": 10.0}
        >>> given = {"short": {"cost": "over_budget", "limit": 0.05, "ki": 1.0}}
        >>> read_constraints(OmegaConf.create({"constraints": given, "constraint_defaults": defaults}))["short"]
        Constraint(cost='over_budget', limit=0.05, sources=None, kp=1.0, ki=1.0, max=10.0)
    """
    if algorithm.constraints is None:
        return {}
    given: Any = OmegaConf.to_container(algorithm.constraints)
    defaults: Any = OmegaConf.to_container(algorithm.constraint_defaults)
    return {name: _read({**defaults, **values}) for name, values in given.items()}


def _read(values: dict[str, Any]) -> Constraint:
    sources = values["sources"]
    numbers = {name: float(values[name]) for name in ("limit", "kp", "ki", "max")}
    return Constraint(cost=values["cost"], sources=None if sources is None else tuple(sources), **numbers)
