"""Checks what corrects for the difference between rollout and trainer, and the alarm; part of `checks.run.check`."""

import math
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig

IS, BYPASS = "algorithm.rollout_correction.rollout_is", "algorithm.rollout_correction.bypass_mode"
THRESHOLD = "algorithm.rollout_correction.rollout_is_threshold"
LOG_PROBS = "actor_rollout_ref.rollout.calculate_log_probs"
LEVELS = ("token", "sequence")
# Their partial rollouts have tokens from older weights.
STALE_MODES = ("medu1_colocate_async", "colocate_async", "separate_async")


def mismatch_violations(config: DictConfig) -> Iterator[str]:
    """Yield one sentence for each thing that is wrong with `algorithm.rollout_correction` or `rollout_mismatch`."""
    correction = config.algorithm.rollout_correction
    if correction is None:
        yield f"algorithm.rollout_correction is null; set {IS}=null for no importance weights."
        return
    level, bypass = correction.rollout_is, correction.bypass_mode
    if level is not None and level not in LEVELS:
        yield f"{IS} is {level!r}; choose {' or '.join(LEVELS)}, or null for none."
    threshold = correction.rollout_is_threshold
    if level is not None and not _is_threshold(threshold):
        yield (
            f"{THRESHOLD} is {threshold!r}; it must be a number above 0, or, in quotes, LOWEST_HIGHEST as in verl's "
            f"docs/algo/rollout_corr.md; for no weights set {IS}=null."
        )
    if not config.actor_rollout_ref.rollout.calculate_log_probs and (bypass or level is not None):
        key = f"{BYPASS}=true" if bypass else f"{IS}={level}"
        yield f"{LOG_PROBS} is false, and {key} needs the rollout's log-probs; set it to true."
    mode = config.trainer.v1.trainer_mode
    if mode in STALE_MODES and level is None and not bypass:
        yield (
            f"trainer.v1.trainer_mode is {mode!r}, whose answers are partly from older weights, and nothing corrects "
            f"for that; set {IS}=token."
        )
    for name in ("max_probs_diff", "max_kl"):
        bound = config.rollout_mismatch[name]
        if bound is not None and not _is_positive(bound):
            yield f"rollout_mismatch.{name} is {bound!r}; it must be a number above 0, or null for no bound."
    if not isinstance(config.rollout_mismatch.end_run, bool):
        yield f"rollout_mismatch.end_run is {config.rollout_mismatch.end_run!r}; it must be true or false."


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _is_threshold(value: Any) -> bool:
    """Return whether verl can read a threshold, which it does in the first step; with null it computes no weights."""
    if not isinstance(value, str):
        return _is_positive(value)
    try:
        bounds = [float(part) for part in value.split("_", 1)]
    except ValueError:
        return False
    return all(map(_is_positive, bounds)) and bounds == sorted(bounds)
