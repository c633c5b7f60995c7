"""The curves of one run as an SVG file for the documentation: reward, format, length and seconds of each step."""

from pathlib import Path
from typing import Annotated

import typer
from matplotlib.figure import Figure

from verl_medu1.report.curves import source_styles
from verl_medu1.run_folder.reader import read_scalars

PANELS = {
    "score": "reward",
    "format": "share in the format",
    "length": "tokens of a response",
    "budget_distance": "tokens from the budget",
}


def main(
    run: Annotated[Path, typer.Argument(help="Run folder.", show_default=False)],
    out: Annotated[Path, typer.Option(help="SVG file to write.", show_default=False)],
) -> None:
    """Draw the components of the reward per data source, and the time of each step."""
    scalars = read_scalars(run / "tensorboard")
    if not scalars:
        raise SystemExit(f"{run} has no TensorBoard files; give the folder of a run.")
    figure = Figure(figsize=(10, 5), layout="constrained")
    panels = figure.subplots(2, 3).flatten()
    for axes, (component, title) in zip(panels, PANELS.items(), strict=False):
        axes.set_title(title, fontsize=10)
        for source, style in source_styles(scalars).items():
            if series := scalars.get(f"reward/{source}/{component}/mean"):
                axes.plot(list(series), list(series.values()), color=style.colour, linestyle=style.line, label=source)
    for axes, (tag, title) in zip(
        panels[4:],
        {"critic/score/mean": "reward, all sources", "timing_s/step": "seconds of a step"}.items(),
        strict=True,
    ):
        axes.set_title(title, fontsize=10)
        axes.plot(list(scalars[tag]), list(scalars[tag].values()), color="#555555")
        axes.set_xlabel("step")
    panels[4].set_ylim(0, 1)
    panels[5].set_ylim(bottom=0)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6, fontsize=9)
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    typer.echo(f"{out}: {len(scalars['critic/score/mean'])} steps")


if __name__ == "__main__":
    typer.run(main)
