"""Which part of the method does what: {GRPO, Dr. GRPO} x {without, with the length term} x {binary, similarity reward}.

    python benchmarks/grid.py [--seed 0 --seed 1 --seed 2] [--plot docs/methods/study.svg]
        [--report outputs/grid/report.html]
    python benchmarks/grid.py --images [--plot docs/methods/study-images.svg]

Warms a small model up for each seed and trains it once in each of the eight cells, all else alike, on the quickstart's
questions (`recipe=study-cpu`), or on generated pictures, asked with options and open-ended (`recipe=images-cpu`); then
asks held-out questions. Prints one table of the cells and one of the effect of each factor, from pairs of runs that
differ in this factor alone: the mean difference, Student's interval over the pairs, and the p-value of the exact test
that flips signs of pairs; with pictures, also the accuracy of each cell with an empty one and with another question's.
Draws the curves. A run that is there already, with the same settings, is read and not repeated.
"""

from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from figures import pyplot, save
from pictures import of_file, show_pictures, with_each_picture
from scipy.stats import ttest_1samp
from trainings import IMAGES, IMAGES_OUT, SAMPLED, answers, medu1, train, warm_up

from verl_medu1.evaluate.statistics import sign_flip_test
from verl_medu1.run_folder.names import VALIDATION
from verl_medu1.run_folder.reader import read_scalars
from verl_medu1.training.reward_spread import ALARM

# The factors, each with two levels, and the keys of a level.
FACTORS: dict[str, dict[str, dict[str, Any]]] = {
    "estimator": {"grpo": {}, "dr_grpo": {"variant": "dr_grpo"}},
    "length term": {"off": {"algorithm.length_penalty.where": "off"}, "on": {}},
    "reward": {"binary": {}, "similarity": {"scoring.scheme": "gated_similarity"}},
}
# What `recipe=study-cpu` has on top of the quickstart, for the recipe of pictures, and fewer steps.
ON_IMAGES: dict[str, Any] = {
    "algorithm.length_penalty.where": "advantage",
    "trainer.total_training_steps": 24,
    "trainer.test_freq": "${trainer.total_training_steps}",
    "trainer.save_freq": -1,
    **SAMPLED,
}
Cell = tuple[str, ...]
MEANS = ("accuracy", "tokens", "from budget")


def keys_of(cell: Cell) -> dict[str, Any]:
    """The keys of `medu1 train` that make a cell."""
    keys: dict[str, Any] = {}
    for levels, level in zip(FACTORS.values(), cell, strict=True):
        keys |= levels[level]
    return keys


def figures(run: Path, test: str) -> dict[str, float]:
    """What the questions of a file show, and in how many steps rewards hardly differed."""
    *_, last = answers(run, VALIDATION).values()
    sampled = of_file(last, test)
    found = {"accuracy": float(np.mean([answer["acc"] for answer in sampled]))}
    found["tokens"] = float(np.mean([answer["length"] for answer in sampled]))
    found["from budget"] = float(np.mean([answer["budget_distance"] for answer in sampled]))
    found["alarms"] = sum(read_scalars(run / "tensorboard")[ALARM].values())
    return found


def effect(runs: dict[tuple[int, Cell], dict[str, float]], factor: int, figure: str) -> tuple[np.ndarray, np.ndarray]:
    """A figure of all runs at the first level of a factor, and of their counterparts at the second."""
    first, second = list(FACTORS.values())[factor]
    pairs = [
        (found[figure], runs[seed, (*cell[:factor], second, *cell[factor + 1 :])][figure])
        for (seed, cell), found in runs.items()
        if cell[factor] == first
    ]
    before, after = zip(*pairs, strict=True)
    return np.array(before), np.array(after)


def draw(folders: dict[tuple[int, Cell], Path], file: Path) -> None:
    """Means over the seeds: a colour for estimator and length term, a dashed line for the similarity reward."""
    figure, panels = pyplot.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for panel, (key, title) in zip(panels, (("acc", "share right"), ("length", "tokens")), strict=True):
        for place, cell in enumerate(product(*FACTORS.values())):
            of_cell = [
                [np.mean([row[key] for row in rows]) for rows in answers(run).values()]
                for (_, of_run), run in folders.items()
                if of_run == cell
            ]
            mean = np.mean(of_cell, axis=0)
            style = "-" if cell[-1] == "binary" else "--"
            panel.plot(range(1, len(mean) + 1), mean, style, color=f"C{place // 2}", label=", ".join(cell))
        panel.set(title=title, xlabel="step")
    panels[0].legend(fontsize=7, title="estimator, length term, reward", title_fontsize=7)
    save(figure, file)


def main(
    seed: Annotated[list[int] | None, typer.Option(help="Seed; may be repeated. Default: 0, 1 and 2.")] = None,
    images: Annotated[bool, typer.Option("--images", help="Ask about generated pictures.")] = False,
    out: Annotated[
        Path | None, typer.Option(help=f"Folder for runs and logs. Default: outputs/grid; {IMAGES_OUT} for pictures.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="SVG file to write.")] = None,
    report: Annotated[Path | None, typer.Option(help="HTML file for one report of all runs.")] = None,
    settings: Annotated[list[str] | None, typer.Argument(help="Further KEY=VALUE settings for `medu1 train`.")] = None,
) -> None:
    """Train the cells and compare them."""
    seeds, out = seed or [0, 1, 2], out or (IMAGES_OUT if images else Path("outputs/grid"))
    world, recipe, common = (IMAGES, IMAGES["recipe"], ON_IMAGES) if images else ({}, "study-cpu", {})
    cells: list[Cell] = list(product(*FACTORS.values()))
    runs, folders = {}, {}
    for number in seeds:
        warm = warm_up(out / str(number), number, **world) | common
        test = Path(warm["data.val_files"])
        if images:
            warm |= with_each_picture(test)
        for cell in cells:
            run = out / str(number) / "-".join(cell)
            train(run, warm | keys_of(cell), *(settings or []), recipe=recipe)
            runs[number, cell] = figures(run, test.stem)
            folders[number, cell] = run

    heads = [*FACTORS, "accuracy by seed", "mean", "tokens", "from budget", "steps with an alarm"]
    typer.echo(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for cell in cells:
        of_cell = [runs[number, cell] for number in seeds]
        by_seed = " ".join(f"{found['accuracy']:.2f}" for found in of_cell)
        accuracy, tokens, distance = (np.mean([found[name] for found in of_cell]) for name in MEANS)
        row = [*cell, by_seed, f"{accuracy:.2f}", f"{tokens:.1f}", f"{distance:.1f}"]
        typer.echo(f"| {' | '.join(row)} | {sum(found['alarms'] for found in of_cell):.0f} |")

    heads = ["factor", "pairs", "accuracy, 95 % interval", "p", "tokens, least to most", "from budget, least to most"]
    typer.echo(f"\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for place, (name, levels) in enumerate(FACTORS.items()):
        before, after = effect(runs, place, "accuracy")
        change = after - before
        interval = ttest_1samp(change, 0).confidence_interval()
        row = [f"{name}: {' to '.join(levels)}", str(len(before))]
        row.append(f"{change.mean():+.3f} ({interval.low:+.3f} to {interval.high:+.3f})")
        row.append(f"{sign_flip_test(change):.3f}")
        for figure in MEANS[1:]:
            first, second = effect(runs, place, figure)
            moved = second - first
            row.append(f"{moved.mean():+.1f} ({moved.min():+.1f} to {moved.max():+.1f})")
        typer.echo(f"| {' | '.join(row)} |")
    if images:
        show_pictures([*FACTORS], {cell: [folders[number, cell] for number in seeds] for cell in cells}, test.stem)
    if plot is not None:
        draw(folders, plot)
    if report is not None:
        medu1(out / "report.log", "report", *map(str, folders.values()), "--out", str(report))


if __name__ == "__main__":
    typer.run(main)
