"""Draws every length penalty: what a response is worth by its length (docs/length.svg)."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from matplotlib.figure import Figure

from verl_medu1.length.penalties import PENALTIES, Group

BUDGET, LONGEST = 1000.0, 2000.0
# The other responses of the group, for the penalties that compare.
OTHERS = np.array([400.0, 700.0, 1500.0])


def _values(name: str, mode: str, lengths: np.ndarray, correct: bool) -> list[float]:
    """The value of one response of each length, beside three right ones."""
    found = []
    for length in lengths:
        group = Group(
            np.append(OTHERS, length), np.array([True] * len(OTHERS) + [correct]), mode, BUDGET, longest=LONGEST
        )
        found.append(PENALTIES[name].values(group)[-1])
    return found


def main(out: Annotated[Path, typer.Option(help="SVG file to write.")] = Path("docs/length.svg")) -> None:
    """Draw one panel for each penalty; the broken line is a wrong answer."""
    figure = Figure(figsize=(10, 8), layout="constrained")
    panels = figure.subplots(3, 4, sharex=True).flatten()
    lengths = np.arange(25.0, 2001.0, 25.0)
    for axes, (name, penalty) in zip(panels, PENALTIES.items(), strict=False):
        axes.set_title(name, fontsize=9)
        axes.axvline(BUDGET, color="0.8", linewidth=1)
        for mode, colour in (("exact", "#1b6ca8"), ("max", "#c8553d")) if "none" not in penalty.modes else (
            ("none", "#4a545c"),
        ):  # fmt: skip
            if mode in penalty.modes:
                axes.plot(lengths, _values(name, mode, lengths, True), color=colour, label=f"right, {mode}")
                axes.plot(lengths, _values(name, mode, lengths, False), color=colour, linestyle=":", label="wrong")
        axes.legend(fontsize=6, frameon=False)
        axes.tick_params(labelsize=7)
    for axes in panels[len(PENALTIES) :]:
        axes.set_visible(False)
    figure.supxlabel("tokens of the response; the budget is 1000, a response has at most 2000", fontsize=9)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, metadata={"Date": None} if out.suffix == ".svg" else None)
    typer.echo(f"{out}: {len(PENALTIES)} penalties")


if __name__ == "__main__":
    typer.run(main)
