"""What the user sees of a step: one short line of verl's metrics."""

import json
import re
from collections.abc import Mapping
from typing import Any

from verl_medu1.training import mismatch, reward_spread

ALARMS = {mismatch.ALARM: "rollout and trainer differ", reward_spread.ALARM: "rewards nearly equal"}
_AT_CAP = re.compile(r"constraint/(?P<name>[^/]+)/at_cap")
_COMPONENT = re.compile(r"reward/(?P<source>.+)/(?P<name>acc|budget_distance)/mean")


def read_step(line: str) -> tuple[int, dict[str, Any]]:
    """Return the step and the metrics in a line of verl's file logger.

    Example:
        >>> read_step('{"step": 3, "data": {"train/loss": 0.25}}')
        (3, {'train/loss': 0.25})
    """
    read = json.loads(line)
    return int(read["step"]), read["data"]


def step_line(step: int, steps: int | None, metrics: Mapping[str, Any], seconds_left: float | None) -> str:
    """Format one line: step, reward, accuracy per data source, tokens, distance from budget, alarms, speed and time.

    Args:
        step: number of the step.
        steps: how many there are; None if unknown.
        metrics: verl's, of reinforcement learning or of the warm-up.
        seconds_left: until the last step is done; None if unknown.

    Example:
        >>> step_line(3, 10, {"train/loss": 0.25}, 70.0)
        'step  3/10  loss 0.250  1:10 left'
    """
    whole = str(steps) if steps else ""
    parts = [f"step {step:>{len(whole)}}{'/' * bool(whole)}{whole}"]
    if (loss := metrics.get("train/loss")) is not None:
        parts.append(f"loss {loss:.3f}")
    if (reward := metrics.get("critic/score/mean")) is not None:
        parts.append(f"reward {reward:.2f}")
    components = {(found["source"], found["name"]): metrics[key] for key in metrics if (found := _COMPONENT.match(key))}
    if right := {source: value for (source, name), value in components.items() if name == "acc"}:
        parts.append("right " + " ".join(f"{source} {right[source]:.2f}" for source in sorted(right)))
    if (tokens := metrics.get("response_length/mean")) is not None:
        parts.append(f"{tokens:.0f} tokens")
    distances = [value for (_, name), value in components.items() if name == "budget_distance"]
    if distances:
        parts.append(f"{sum(distances) / len(distances):.1f} from budget")
    for alarm, meaning in ALARMS.items():
        if metrics.get(alarm):
            parts.append(meaning)
    at_cap = [found["name"] for key in metrics if (found := _AT_CAP.fullmatch(key)) and metrics[key]]
    if at_cap:
        parts.append(f"multiplier at its cap: {' '.join(at_cap)}")
    if (speed := metrics.get("perf/throughput")) is not None:
        parts.append(f"{speed:,.0f} tokens/s")
    if (seconds := metrics.get("timing_s/step")) is not None:
        parts.append(f"{seconds:.1f} s")
    if seconds_left is not None:
        parts.append(f"{minutes(seconds_left)} left")
    return "  ".join(parts)


def minutes(seconds: float) -> str:
    """Format a duration as minutes and seconds, with hours if there are any.

    Example:
        >>> minutes(70), minutes(4000)
        ('1:10', '1:06:40')
    """
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    clock = f"{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
    return f"{hours}:{clock}" if hours else clock
