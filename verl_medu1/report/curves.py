"""Curves over training steps: for one run a line per data source; for several a figure per source, a line per run."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from verl_medu1.report.figure import STYLE, Picture, Style, new_figure, numbered_style, picture
from verl_medu1.run_folder.reader import Series

Scalars = Mapping[str, Series]
MAX_POINTS = 300  # more points are averaged in bins of equal size
SOURCE_TAG = re.compile(r"reward/(?P<reward>.+)/[^/]+/mean|advantage/(?P<advantage>.+)/[^/]+")
LEVEL_TAG = re.compile(r"level/(?P<level>.+)/acc/mean")
OVERALL_STYLE = Style("#333f48", "-")


@dataclass(frozen=True)
class Measure:
    """A plotted metric: its tag, with {source} for a data source, and its title."""

    tag: str
    title: str
    share: bool = False
    log: bool = False


# Metrics logged per data source.
OF_SOURCES = (
    Measure("reward/{source}/score/mean", "reward"),
    Measure("reward/{source}/acc/mean", "accuracy", share=True),
    Measure("reward/{source}/format/mean", "format kept", share=True),
    Measure("reward/{source}/length/mean", "response length (tokens)"),
    Measure("reward/{source}/budget_distance/mean", "distance from the budget (tokens)"),
    Measure("reward/{source}/over_budget/mean", "share over the budget", share=True),
    Measure("reward/{source}/checklist_items/mean", "checklist items true of the answers", share=True),
    Measure("reward/{source}/checklist_must_nots/mean", "must-nots true of the answers", share=True),
    Measure("advantage/{source}/moved_share_of_right", "advantage moved, per right answer"),
    Measure("advantage/{source}/moved_mean_abs", "advantage moved by (mean size)"),
    Measure("advantage/{source}/all_wrong_groups", "questions with all answers wrong", share=True),
    Measure("advantage/{source}/all_right_groups", "questions with all answers right", share=True),
)
OVERALL = (
    Measure("critic/score/mean", "reward, all sources"),
    Measure("response_length/mean", "response length, all sources (tokens)"),
    Measure("perf/throughput", "tokens per second and device"),
    Measure("actor/grad_norm", "gradient norm"),
    Measure("actor/entropy", "entropy"),
    Measure("judge/audit_agreement", "rules and judge agree on checklist items", share=True),
    Measure("training/rollout_probs_diff_mean", "|rollout - trainer probability|", log=True),
)
# The non-overlapping phases of a step, in order; the rest of timing_s/step is "other".
PHASES = (
    "gen",
    "reward",
    "old_log_prob",
    "ref",
    "values",
    "adv",
    "update_critic",
    "update_actor",
    "update_weights",
    "save_checkpoint",
)


def source_styles(scalars: Scalars) -> dict[str, Style]:
    """Return the data sources in the tags, sorted, each with its style."""
    matches = (SOURCE_TAG.fullmatch(tag) for tag in scalars)
    sources = sorted({match["reward"] or match["advantage"] for match in matches if match})
    return {source: numbered_style(number) for number, source in enumerate(sources)}


def run_styles(names: Sequence[str]) -> dict[str, Style]:
    """Return runs, or levels, each with its style."""
    return {name: numbered_style(number) for number, name in enumerate(names)}


def binned(series: Series, max_points: int = MAX_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Return steps and values, averaged in bins of equal size if there are more than `max_points`.

    A bin's mean ignores non-finite values unless it has no others.

    Example:
        >>> [list(map(float, part)) for part in binned({1: 1.0, 2: 3.0, 3: 5.0, 4: 7.0}, max_points=2)]
        [[1.5, 3.5], [2.0, 6.0]]
    """
    steps, values = np.array(list(series), dtype=float), np.array(list(series.values()), dtype=float)
    if len(steps) <= max_points:
        return steps, values
    bins = np.array_split(np.arange(len(steps)), max_points)
    return np.array([steps[b].mean() for b in bins]), np.array([_finite_mean(values[b]) for b in bins])


def _finite_mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")


def smoothed(values: np.ndarray) -> np.ndarray:
    """Return the centred moving mean over a fifth of the points (fewer at the ends), ignoring non-finite values."""
    half = len(values) // 10
    return np.array([_finite_mean(values[max(0, i - half) : i + half + 1]) for i in range(len(values))])


def _draw(axes: Any, series: Series, style: Style) -> None:
    steps, values = binned(series)
    few = len(steps) < 15
    axes.plot(steps, values, color=style.colour, linestyle=style.line, linewidth=1.6 if few else 0.8,
              alpha=1 if few else 0.35, marker="o" if few else None, markersize=3)  # fmt: skip
    if not few:
        axes.plot(steps, smoothed(values), color=style.colour, linestyle=style.line, linewidth=1.8)


def _curve(measure: Measure, title: str, lines: Sequence[tuple[Series, Style]]) -> Picture:
    figure, axes = new_figure(title)
    for series, style in lines:
        _draw(axes, series, style)
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if measure.share:
        axes.set_ylim(-0.03, 1.03)
    if measure.log and all(value > 0 for series, _ in lines for value in series.values()):
        axes.set_yscale("log")
    if not any(np.isfinite(value) for series, _ in lines for value in series.values()):
        axes.text(0.5, 0.5, "not a number", transform=axes.transAxes, ha="center", color="#5b6770")
    return picture(figure, f"{title} over the steps")


def curves(runs: Mapping[str, Scalars]) -> list[Picture]:
    """Plot the curves of one run, or of several runs in the same figures.

    For one run each metric is a figure with a line per data source; for several it is a figure per source with a line
    per run. With 15 or more points the line is their moving mean, and the values are a thin line behind it.

    Args:
        runs: scalars by run name, from `verl_medu1.run_folder.reader.read_scalars`; missing metrics are left out.
    """
    merged = {tag: series for scalars in runs.values() for tag, series in scalars.items()}
    sources, styles = source_styles(merged), run_styles(list(runs))
    pictures = []
    with matplotlib.rc_context(STYLE):
        for measure in OF_SOURCES:
            tags = {source: measure.tag.format(source=source) for source in sources}
            if len(runs) == 1:
                lines = [(merged[tag], sources[source]) for source, tag in tags.items() if tag in merged]
                pictures += [_curve(measure, measure.title, lines)] if lines else []
                continue
            for source, tag in tags.items():
                lines = [(scalars[tag], styles[name]) for name, scalars in runs.items() if tag in scalars]
                pictures += [_curve(measure, f"{measure.title}, {source}", lines)] if lines else []
        for measure in OVERALL:
            lines = [
                (scalars[measure.tag], styles[name] if len(runs) > 1 else OVERALL_STYLE)
                for name, scalars in runs.items()
                if measure.tag in scalars
            ]
            pictures += [_curve(measure, measure.title, lines)] if lines else []
        pictures += [_levels(name if len(runs) > 1 else "", levels) for name, scalars in runs.items()
                     if (levels := _of_levels(scalars))]  # fmt: skip
        pictures += [_timing(name if len(runs) > 1 else "", scalars) for name, scalars in runs.items()
                     if "timing_s/step" in scalars]  # fmt: skip
    return pictures


def _of_levels(scalars: Scalars) -> dict[str, Series]:
    """Return the accuracy on each level of difficulty, the easiest first."""
    found = {match["level"]: series for tag, series in scalars.items() if (match := LEVEL_TAG.fullmatch(tag))}
    return {level: found[level] for level in sorted(found, key=lambda level: (len(level), level))}


def _levels(name: str, levels: Mapping[str, Series]) -> Picture:
    figure, axes = new_figure("accuracy by level" + (f", {name}" if name else ""), 2.8, wide=True)
    styles = run_styles([*levels])
    for level, series in levels.items():
        _draw(axes, series, styles[level])
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(-0.03, 1.03)
    handles = [Line2D([], [], color=style.colour, linestyle=style.line) for style in styles.values()]
    figure.legend(handles, [*levels], loc="outside right upper", frameon=False)
    return picture(figure, "accuracy by level of difficulty over the steps", wide=True)


def _timing(name: str, scalars: Scalars) -> Picture:
    total = scalars["timing_s/step"]
    phases = {phase: scalars[f"timing_s/{phase}"] for phase in PHASES if f"timing_s/{phase}" in scalars}
    figure, axes = new_figure("seconds per step" + (f", {name}" if name else ""), 2.8, wide=True)
    named = {step: sum(series.get(step, 0.0) for series in phases.values()) for step in total}
    other = {step: max(0.0, total[step] - named[step]) for step in total}
    colours = matplotlib.colormaps["tab20"].colors  # type: ignore[attr-defined]
    bottom: Any = 0.0
    for i, (phase, series) in enumerate({**phases, "other": other}.items()):
        steps, seconds = binned({step: series.get(step, 0.0) for step in total})
        middles = (steps[1:] + steps[:-1]) / 2
        edges = np.concatenate([steps[:1] - 0.5, middles, steps[-1:] + 0.5])
        axes.stairs(bottom + seconds, edges, baseline=bottom, fill=True, color=colours[i], label=phase)
        bottom = bottom + seconds
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside right upper", frameon=False)
    return picture(figure, "seconds of each phase over the steps", wide=True)
