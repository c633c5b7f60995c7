"""SVG figures of benchmarks; the same data gives the same bytes."""

from pathlib import Path

import matplotlib
from matplotlib import pyplot
from matplotlib.figure import Figure

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "verl-medu1"

__all__ = ["pyplot", "save"]


def save(figure: Figure, file: Path) -> None:
    """Write a figure."""
    figure.savefig(file, metadata={"Date": None})
