"""A constraint in training: unsafe doses with and without a limit, on generated questions.

    python benchmarks/constraint.py [--seed 0 --seed 1 --seed 2] [--plot docs/methods/ogsrl.svg]

For each seed, prepares the doses, warms a model up and trains it with the recipe's limit and with one that is never
reached, all else alike. Prints Markdown tables of held-out answers and of the multiplier, with a paired test of
accuracy over questions, and draws the curves. A run that is there already, with the same settings, is read and not
repeated.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from figures import pyplot, save
from trainings import SAMPLED, answers, of_questions, train, warm_up

from verl_medu1.evaluate.statistics import paired_difference
from verl_medu1.run_folder.names import VALIDATION
from verl_medu1.run_folder.reader import read_scalars

# The share of unsafe answers is below this in any step of a control.
SETTINGS: dict[str, dict[str, Any]] = {"limit 0.02": {}, "no limit": {"algorithm.constraints.dose.limit": 0.999}}
LAST = 8
COST, MULTIPLIER = "constraint/dose/cost_mean", "constraint/dose/lambda"


def held_out(run: Path) -> dict[str, np.ndarray]:
    """For each held-out question the share of its answers that are right, and that are unsafe, after the last step."""
    *_, rows = answers(run, VALIDATION).values()
    return {figure: np.array(list(of_questions(rows, figure).values())) for figure in ("acc", "unsafe")}


def draw(runs: dict[tuple[str, int], dict[str, dict[int, float]]], file: Path) -> None:
    """One panel for the cost and one for the multiplier; a colour for each setting, a line for each seed."""
    figure, panels = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for panel, (key, title) in zip(panels, ((COST, "unsafe answers"), (MULTIPLIER, "multiplier")), strict=True):
        for (setting, seed), scalars in runs.items():
            colour = f"C{list(SETTINGS).index(setting)}"
            panel.plot(list(scalars[key]), list(scalars[key].values()), color=colour, label=f"{setting}, seed {seed}")
        panel.set(title=title, xlabel="step")
    panels[0].legend(fontsize=8)
    save(figure, file)


def main(
    seed: Annotated[list[int] | None, typer.Option(help="Seed; may be repeated. Default: 0, 1 and 2.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for runs and logs.")] = Path("outputs/constraint"),
    plot: Annotated[Path | None, typer.Option(help="SVG file to write.")] = None,
    settings: Annotated[list[str] | None, typer.Argument(help="Further KEY=VALUE settings for `medu1 train`.")] = None,
) -> None:
    """Train, compare and draw."""
    curves: dict[tuple[str, int], dict[str, dict[int, float]]] = {}
    typer.echo(
        f"| seed | setting | right | unsafe | multiplier, mean and range of the last {LAST} steps |\n{'|---' * 5}|"
    )
    differences = []
    for number in seed or [0, 1, 2]:
        keys = warm_up(out / str(number), number, source="quickstart-dosing") | {
            "trainer.save_freq": -1,
            "trainer.test_freq": "${trainer.total_training_steps}",
            **SAMPLED,
        }
        found = {}
        for setting, changed in SETTINGS.items():
            run = out / str(number) / setting.replace(" ", "-")
            train(run, keys | changed, *(settings or []), recipe="dosing-cpu")
            found[setting] = held_out(run)
            scalars = read_scalars(run / "tensorboard")
            curves[setting, number] = {key: dict(scalars[key]) for key in (COST, MULTIPLIER)}
            last = list(scalars[MULTIPLIER].values())[-LAST:]
            shares = " | ".join(f"{found[setting][key].mean():.3f}" for key in ("acc", "unsafe"))
            spread = f"{np.mean(last):.2f} ({min(last):.2f} to {max(last):.2f})"
            typer.echo(f"| {number} | {setting} | {shares} | {spread} |")
        with_limit, without = (found[setting]["acc"] for setting in SETTINGS)
        differences.append((number, paired_difference(without, with_limit)))
    typer.echo(f"\n| seed | accuracy with the limit, less without | 95 % interval | p |\n{'|---' * 4}|")
    for number, change in differences:
        interval = f"{change.low:+.3f} to {change.high:+.3f}"
        typer.echo(f"| {number} | {change.value:+.3f} | {interval} | {change.p_value:.2g} |")
    if plot:
        draw(curves, plot)


if __name__ == "__main__":
    typer.run(main)
