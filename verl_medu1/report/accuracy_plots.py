"""Figures of a run's evaluations: accuracy before and after, and accuracy by length budget."""

from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np

from verl_medu1.report.figure import STYLE, Picture, new_figure, picture

Summaries = Mapping[str, Mapping[str, Any]]
COLOUR = {"before": "#8a939b", "after": "#0072b2"}
OFFSET = {"before": -0.13, "after": 0.13}


def _with_ends(points: list[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Return accuracies, and the lower and upper half-widths of their intervals."""
    value, low, high = np.array(
        [[point[key] for point in points] for key in ("accuracy", "accuracy_low", "accuracy_high")]
    )
    # Rounding may put the mean just outside its interval, and matplotlib refuses negative lengths.
    return value, np.maximum([value - low, high - value], 0)


def accuracy_plot(summaries: Summaries) -> Picture:
    """Plot the accuracy per answer type with its interval.

    Args:
        summaries: summaries by label: "before", "after" or both.
    """
    names = [*sorted({name for summary in summaries.values() for name in summary["answer_type"]}), "overall"]
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure("accuracy on held-out questions, 95 % interval", 1.0 + 0.45 * len(names), wide=True)
        for label, summary in summaries.items():
            groups = {**summary["answer_type"], "overall": summary["overall"]}
            place = [i + OFFSET[label] for i, name in enumerate(names) if name in groups]
            value, ends = _with_ends([groups[name] for name in names if name in groups])
            axes.errorbar(value, place, xerr=ends, fmt="o", color=COLOUR[label], markersize=6, capsize=3, label=label)
        axes.set_yticks(range(len(names)), names, parse_math=False)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlim(-0.02, 1.02)
        axes.grid(axis="y", visible=False)
        figure.legend(loc="outside right upper", frameon=False)
    return picture(figure, "accuracy per answer type before and after", wide=True)


def budget_plots(summaries: Summaries) -> list[Picture]:
    """Plot accuracy by budget with intervals, for each data source with several budgets."""
    pictures = []
    sources = sorted({name for summary in summaries.values() for name in summary["data_source"]})
    with matplotlib.rc_context(STYLE):
        for source in sources:
            curves = {
                (label, mode): [point for point in summary["data_source"][source]["by_budget"] if point["mode"] == mode]
                for label, summary in summaries.items()
                if source in summary["data_source"]
                for mode in ("exact", "max")
            }
            if max(map(len, curves.values()), default=0) < 2:
                continue
            figure, axes = new_figure(f"accuracy by budget, {source}")
            for (label, mode), points in curves.items():
                if points:
                    tokens = [point["tokens"] for point in points]
                    value, ends = _with_ends(points)
                    line = "o-" if mode == "max" else "s--"
                    axes.errorbar(tokens, value, yerr=ends, color=COLOUR[label], capsize=3, fmt=line, markersize=4)
            axes.set_xlabel("budget (tokens; circles: at most, squares: exact)")
            axes.set_ylim(-0.03, 1.03)
            pictures.append(picture(figure, f"accuracy by length budget of {source}"))
    return pictures
