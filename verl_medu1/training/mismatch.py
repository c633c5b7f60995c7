"""The alarm that goes off when the rollout's probabilities of the sampled tokens and the trainer's drift apart."""

from collections.abc import Mapping, Sequence
from typing import Any

# Our metric: 1 for a step with an alarm, 0 for one without.
ALARM = "training/rollout_mismatch_alarm"
# verl's metric -> its bound in `rollout_mismatch`.
MEASURES = {"training/rollout_probs_diff_mean": "max_probs_diff", "rollout_corr/k3_kl": "max_kl"}


def over_bounds(metrics: Mapping[str, float], bounds: Mapping[str, Any]) -> list[str]:
    """Return what each metric above its bound is, and the bound.

    Args:
        metrics: verl's, of one step.
        bounds: `rollout_mismatch`.

    Example:
        >>> over_bounds({"rollout_corr/k3_kl": 0.5}, {"max_probs_diff": 0.01, "max_kl": 0.01})
        ['rollout_corr/k3_kl is 0.5 (rollout_mismatch.max_kl is 0.01)']
    """
    return [
        f"{measure} is {metrics[measure]:.3g} (rollout_mismatch.{name} is {bounds[name]:g})"
        for measure, name in MEASURES.items()
        # Written so that a metric that is not a number is above any bound.
        if measure in metrics and bounds[name] is not None and not metrics[measure] <= bounds[name]
    ]


def alarm_metrics(metrics: Mapping[str, float], found: Sequence[str]) -> dict[str, float]:
    """Return 1 for a step with an alarm and 0 for one without; nothing where verl compared nothing.

    Args:
        metrics: verl's, of one step.
        found: from `over_bounds`.

    Example:
        >>> alarm_metrics({"rollout_corr/k3_kl": 0.001}, []), alarm_metrics({}, [])
        ({'training/rollout_mismatch_alarm': 0.0}, {})
    """
    return {ALARM: float(bool(found))} if any(measure in metrics for measure in MEASURES) else {}


def mismatch_error(step: int, found: Sequence[str]) -> RuntimeError:
    """Return the error that ends a run at an alarm, if `rollout_mismatch.end_run` is set."""
    return RuntimeError(
        f"step {step} is not trained on: rollout and trainer give the sampled tokens different probabilities, "
        f"{'; '.join(found)}; see docs/training.md for causes, or set rollout_mismatch.end_run=false"
    )
