"""The common style of a report's figures, and their rendering as SVG (in the page) and PNG (in a folder next to it)."""

import base64
import io
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#555555")
LINE_STYLES = ("-", "--", ":", "-.")
PNG_DPI = 110
STYLE: dict[str, Any] = {
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
    """A rendered figure: a data URI for the page, the bytes of its PNG, and its alternative text."""

    uri: str
    png: bytes
    alt: str
    wide: bool = False


@dataclass(frozen=True)
class Style:
    """Colour and line style of a data source or run, the same in all figures."""

    colour: str
    line: str


def numbered_style(number: int) -> Style:
    """Return the style of the source or run with that number."""
    return Style(COLOURS[number % len(COLOURS)], LINE_STYLES[number // len(COLOURS) % len(LINE_STYLES)])


def new_figure(title: str, height: float = 2.5, wide: bool = False) -> tuple[Figure, Any]:
    """Make a figure with one pair of axes."""
    # Without pyplot there is no global state and no display. Fixed margins align the small figures.
    figure = Figure(figsize=(10 if wide else 4.9, height), layout="constrained" if wide else None)
    axes = figure.subplots() if wide else figure.add_axes((0.13, 0.2, 0.84, 0.68))
    axes.set_title(title, parse_math=False)  # a "$" in a name does not start a formula
    return figure, axes


def picture(figure: Figure, alt: str, wide: bool = False) -> Picture:
    """Render a figure as SVG and PNG."""
    svg, png = io.BytesIO(), io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    figure.savefig(png, format="png", dpi=PNG_DPI)
    uri = "data:image/svg+xml;base64," + base64.b64encode(svg.getvalue()).decode()
    return Picture(uri, png.getvalue(), alt, wide)
