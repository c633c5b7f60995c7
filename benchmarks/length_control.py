"""The length term in training: in the advantage, in the reward, and without one, with maximum budgets.

    python benchmarks/length_control.py [--seed 0 --seed 1] [--plot docs/length-training.svg]

Prepares the quickstart's questions with budgets of at most N tokens, warms a model up for each seed, and trains it once
for each place of the length term, all else alike. Prints a Markdown table of the first and the last five steps and
of what we add to a step of verl's, and draws the curves. A run that is there already, with the same settings, is read
and not repeated.
"""

from itertools import cycle
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from figures import pyplot, save
from step_ratio import step_ratio
from trainings import answers, train, warm_up

# Where the length term enters, and its weight: in the advantage the recipe's; in the reward, where a right answer is
# worth 1, what gives both terms the same range, as in Med-U1's release.
PLACES = {"advantage": None, "reward": 0.5, "off": None}
# What is shown of a step's answers.
CURVES = ("share right", "tokens of right answers", "right answers over their budget")
ENDS = 5


def curves(run: Path) -> dict[str, list[float]]:
    """The figures of each step, from the rollouts that the run kept."""
    series: dict[str, list[float]] = {name: [] for name in CURVES}
    for sampled in answers(run).values():
        right = [answer for answer in sampled if answer["acc"] > 0]
        series["share right"].append(len(right) / len(sampled))
        # A step without a right answer has neither, and is left out of the means.
        for name, key in (("tokens of right answers", "length"), ("right answers over their budget", "over_budget")):
            series[name].append(float(np.mean([answer[key] for answer in right] or [np.nan])))
    return series


def draw(runs: dict[tuple[str, int], dict[str, list[float]]], file: Path) -> None:
    """One panel for each figure, one colour for each place, one line style for each seed."""
    figure, panels = pyplot.subplots(1, len(CURVES), figsize=(12, 3.4), layout="constrained")
    styles = dict(zip(sorted({seed for _, seed in runs}), cycle(("-", "--", ":")), strict=False))
    for panel, name in zip(panels, CURVES, strict=True):
        for (place, seed), series in runs.items():
            # A mean over five steps: each step has other questions.
            smooth = [np.nanmean(series[name][max(0, i - ENDS + 1) : i + 1]) for i in range(len(series[name]))]
            colour = f"C{list(PLACES).index(place)}"
            panel.plot(range(1, len(smooth) + 1), smooth, styles[seed], color=colour, label=f"{place}, seed {seed}")
        panel.set(title=name, xlabel="step")
    panels[0].legend(fontsize=8)
    save(figure, file)


def main(
    seed: Annotated[list[int] | None, typer.Option(help="Seed; may be repeated. Default: 0 and 1.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for runs and logs.")] = Path("outputs/length-control"),
    plot: Annotated[Path | None, typer.Option(help="SVG file to write.")] = None,
    settings: Annotated[list[str] | None, typer.Argument(help="Further KEY=VALUE settings for `medu1 train`.")] = None,
) -> None:
    """Train, compare and draw."""
    runs = {}
    for number in seed or [0, 1]:
        folder = out / str(number)
        warm = warm_up(folder, number, "--budget", "max:fixed:12,22,40")
        for place, weight in PLACES.items():
            keys = {**warm, "algorithm.length_penalty.where": place, "trainer.save_freq": -1}
            if weight is not None:
                keys["algorithm.length_penalty.weight"] = weight
            train(run := folder / place, keys, *(settings or []))
            runs[place, number] = curves(run)

    heads = " | ".join(f"{name}, first | last" for name in CURVES)
    typer.echo(f"| length term | seed | {heads} | step / step without our part |")
    typer.echo("|---|---|" + "---|---|" * len(CURVES) + "---|")
    for (place, number), series in runs.items():
        means = [np.nanmean(part) for name in CURVES for part in (series[name][:ENDS], series[name][-ENDS:])]
        cells = " | ".join(f"{value:.2f}" for value in means)
        ratio = step_ratio(out / str(number) / place / "tensorboard")
        typer.echo(f"| {place} | {number} | {cells} | {ratio:.3f} |")
    if plot:
        draw(runs, plot)


if __name__ == "__main__":
    typer.run(main)
