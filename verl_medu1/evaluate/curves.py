"""Figures of a run as SVG: what changed over the steps, and accuracy before and after."""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from verl_medu1.evaluate.run_folder import Series

MAX_POINTS = 300  # more are averaged in equal bins of steps
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#555555")
LINE_STYLES = ("-", "--", ":", "-.")
COMPONENT_TAG = re.compile(r"reward/(?P<source>.+)/(?P<component>[^/]+)/mean")
COMPONENTS = {
    "acc": "accuracy",
    "format": "format kept",
    "score": "reward",
    "length": "response length (tokens)",
    "budget_distance": "distance from the budget (tokens)",
    "over_budget": "share over the budget",
}
SHARES = {"acc", "format", "over_budget"}
OVERALL = {
    "critic/score/mean": "reward, all sources",
    "response_length/mean": "response length, all sources (tokens)",
    "actor/grad_norm": "gradient norm",
    "training/rollout_probs_diff_mean": "|rollout - trainer probability|",
}
# The phases of a step that don't overlap, in their order; the rest of timing_s/step is "other".
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
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a939b",
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e9ec",
    "xtick.color": "#4a545c",
    "ytick.color": "#4a545c",
    "svg.hashsalt": "medu1",
}


@dataclass(frozen=True)
class Picture:
    """One figure as a data URI, with the text that stands for it."""

    uri: str
    alt: str
    wide: bool = False


@dataclass(frozen=True)
class Style:
    """Colour and line of one data source, the same in all figures."""

    colour: str
    line: str


def source_styles(scalars: Mapping[str, Series]) -> dict[str, Style]:
    """The data sources that the tags name, sorted, each with its style."""
    matches = (COMPONENT_TAG.fullmatch(tag) for tag in scalars)
    sources = sorted({match["source"] for match in matches if match})
    return {
        source: Style(COLOURS[i % len(COLOURS)], LINE_STYLES[i // len(COLOURS) % len(LINE_STYLES)])
        for i, source in enumerate(sources)
    }


def binned(series: Series, max_points: int = MAX_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values, averaged in bins of equally many points where there are more than `max_points`.

    NaN does not enter a bin's mean unless the bin has nothing else.

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
    """Centred moving mean over a fifth of the points; at the ends over what there is, NaN left out."""
    half = len(values) // 10
    return np.array([_finite_mean(values[max(0, i - half) : i + half + 1]) for i in range(len(values))])


def _picture(figure: Figure, alt: str, wide: bool = False) -> Picture:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return Picture("data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode(), alt, wide)


def _figure(title: str, height: float = 2.5, wide: bool = False) -> tuple[Figure, Any]:
    # Figure without pyplot: no global state, no display. Fixed margins line the small figures up.
    figure = Figure(figsize=(10 if wide else 4.9, height), layout="constrained" if wide else None)
    axes = figure.subplots() if wide else figure.add_axes((0.13, 0.2, 0.84, 0.68))
    axes.set_title(title)
    return figure, axes


def _draw(axes: Any, series: Series, style: Style) -> None:
    steps, values = binned(series)
    few = len(steps) < 15
    axes.plot(steps, values, color=style.colour, linestyle=style.line, linewidth=1.6 if few else 0.8,
              alpha=1 if few else 0.35, marker="o" if few else None, markersize=3)  # fmt: skip
    if not few:
        axes.plot(steps, smoothed(values), color=style.colour, linestyle=style.line, linewidth=1.8)


def _curve(title: str, lines: Sequence[tuple[Series, Style]], share: bool = False, log: bool = False) -> Picture:
    figure, axes = _figure(title)
    for series, style in lines:
        _draw(axes, series, style)
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if share:
        axes.set_ylim(-0.03, 1.03)
    if log and all(value > 0 for series, _ in lines for value in series.values()):
        axes.set_yscale("log")
    return _picture(figure, f"{title} over the steps")


def curves(scalars: Mapping[str, Series]) -> list[Picture]:
    """One figure per component of the reward with one line per data source, and one per overall metric.

    Where the points are 15 or more, the line is their moving mean and the values are drawn thin behind it.

    Args:
        scalars: of `verl_medu1.evaluate.run_folder.read_scalars`; metrics that are not there are left out.
    """
    pictures = []
    styles = source_styles(scalars)
    with matplotlib.rc_context(STYLE):
        for component, title in COMPONENTS.items():
            tags = {source: f"reward/{source}/{component}/mean" for source in styles}
            lines = [(scalars[tag], styles[source]) for source, tag in tags.items() if tag in scalars]
            if lines:
                pictures.append(_curve(title, lines, share=component in SHARES))
        for tag, title in OVERALL.items():
            if tag in scalars:
                log = tag == "training/rollout_probs_diff_mean"
                pictures.append(_curve(title, [(scalars[tag], Style("#333f48", "-"))], log=log))
        timing = {phase: scalars[f"timing_s/{phase}"] for phase in PHASES if f"timing_s/{phase}" in scalars}
        if "timing_s/step" in scalars:
            pictures.append(_timing(scalars["timing_s/step"], timing))
    return pictures


def _timing(total: Series, phases: Mapping[str, Series]) -> Picture:
    figure, axes = _figure("seconds per step", 2.8, wide=True)
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
    return _picture(figure, "seconds of each phase over the steps", wide=True)


def accuracy_plot(summaries: Mapping[str, Mapping[str, Any]]) -> Picture:
    """Accuracy per answer type with its interval.

    Args:
        summaries: of "before", "after" or both.
    """
    looks = {"before": ("#8a939b", -0.13), "after": ("#0072b2", 0.13)}
    names = [*sorted({name for summary in summaries.values() for name in summary["answer_type"]}), "overall"]
    with matplotlib.rc_context(STYLE):
        figure, axes = _figure("accuracy on held-out questions, 95 % interval", 1.0 + 0.45 * len(names), wide=True)
        for label, summary in summaries.items():
            groups = {**summary["answer_type"], "overall": summary["overall"]}
            colour, offset = looks[label]
            place = [i + offset for i, name in enumerate(names) if name in groups]
            keys = ("accuracy", "accuracy_low", "accuracy_high")
            value, low, high = np.array([[groups[name][key] for name in names if name in groups] for key in keys])
            # The mean may lie a rounding outside its interval, and matplotlib takes no negative length.
            ends = np.maximum([value - low, high - value], 0)
            axes.errorbar(value, place, xerr=ends, fmt="o", color=colour, markersize=6, capsize=3, label=label)
        axes.set_yticks(range(len(names)), names, parse_math=False)  # a "$" in a name is no formula
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlim(-0.02, 1.02)
        axes.grid(axis="y", visible=False)
        figure.legend(loc="outside right upper", frameon=False)
    return _picture(figure, "accuracy per answer type before and after", wide=True)
