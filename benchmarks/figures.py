"""SVG figures of benchmarks; the same data gives the same bytes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib import pyplot
from matplotlib.figure import Figure

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "verl-medu1"

__all__ = ["draw_seeds", "pyplot", "save"]


def save(figure: Figure, file: Path) -> None:
    """Write a figure."""
    figure.savefig(file, metadata={"Date": None})


def draw_seeds(curves: Mapping[int, Sequence[float]], figure: str, file: Path) -> None:
    """Draw a figure between 0 and 1 by step, a line for each seed."""
    drawn, axes = pyplot.subplots(figsize=(6, 3.4), layout="constrained")
    for seed, values in curves.items():
        axes.plot(range(1, len(values) + 1), values, label=f"seed {seed}")
    axes.set(xlabel="step", ylabel=figure, ylim=(0, 1))
    axes.legend()
    save(drawn, file)
