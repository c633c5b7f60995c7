"""Which questions in which order: the samples needed to the same held-out accuracy, against the plain choice.

    python benchmarks/selection.py alphamed [--seed 0 --seed 1 --seed 2] [--plot docs/methods/alphamed.svg]
    python benchmarks/selection.py medcco [--plot docs/methods/medcco.svg]
    python benchmarks/selection.py medcco-images [--plot docs/methods/medcco-images.svg]

For each seed a small model is warmed up on the quickstart's questions, or on questions about generated pictures, and
trained for some steps on all of them, so that it finds some questions easy and others hard. From there it is trained
once in each way, all else alike. Held-out questions are asked every few steps. Prints a Markdown table: the samples
until the accuracy that the first way ends with, and the mean accuracy over the training, compared over the held-out
questions; with pictures, also the accuracy at the end with an empty one and with another question's. Runs that are
there already are not repeated.
"""

from collections import defaultdict
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from figures import pyplot, save
from pictures import of_file, show_pictures, with_each_picture
from trainings import IMAGES, IMAGES_OUT, SAMPLED, answers, medu1, train, warm_up

from verl_medu1.evaluate.statistics import paired_difference
from verl_medu1.run_folder.checkpoints import newest_model
from verl_medu1.run_folder.names import VALIDATION


class Method(StrEnum):
    """The published system whose choice is compared, and on which questions."""

    alphamed = "alphamed"
    medcco = "medcco"
    medcco_images = "medcco-images"


# Way -> options of `medu1 select` (None: all questions), and keys of `medu1 train`. The first way is the control.
Ways = dict[str, tuple[list[str] | None, dict[str, Any]]]


class Comparison(NamedTuple):
    """Ways to choose questions, the recipe that trains on them, arguments of `warm_up`, and the folder of the runs."""

    ways: Ways
    recipe: str = "quickstart"
    world: Mapping[str, str] = {}
    out: Path = Path("outputs/selection")


def orders(*closed: str) -> Ways:
    """Closed-ended answer types first, last, and mixed with open-ended questions."""
    only, both = (f"{{families: [{', '.join(types)}], share: 1}}" for types in (closed, (*closed, "open_ended")))

    def of_each_type(number: int) -> dict[str, str]:
        weights = [f"{name}: {number // len(closed)}" for name in closed]
        return {"data.mixture.by": "ability", "data.mixture.weights": f"{{{', '.join(weights)}, open_ended: 10}}"}

    return {
        # As many questions of each type as the curriculum has.
        "mixed": (None, of_each_type(14)),
        "closed first": (None, of_each_type(2) | {"data.mixture.stages": f"[{only}, {both}]"}),
        "closed last": (None, of_each_type(2) | {"data.mixture.stages": f"[{both}, {only}]"}),
    }


COMPARISONS = {
    Method.alphamed: Comparison(
        {
            "random": ([], {}),
            "band": (["--band", "0.1:0.9", "--confidence", "0.5"], {}),
            "easy": (["--band", "0.75:1", "--confidence", "0"], {}),
            "levels": (["--levels", "2"], {"data.mixture.by": "level", "data.mixture.weights": "{L1: 1, L2: 1}"}),
        }
    ),
    Method.medcco: Comparison(orders("calculation", "multiple_choice")),
    Method.medcco_images: Comparison(orders("multiple_choice"), IMAGES["recipe"], IMAGES, IMAGES_OUT),
}
ROWS_PER_SOURCE = 200
SOURCES = ("quickstart-calc", "quickstart-mcq", "quickstart-open")
START_STEPS, STEPS, EVERY = 8, 24, 4
# Of a step: train_batch_size x rollout.n of the recipe.
SAMPLES_PER_STEP = 12 * 8
# Of the training: right or wrong, no length.
PLAIN = {"scoring.scheme": "accuracy", "algorithm.length_penalty.where": "off"}

# Held-out question -> its accuracy at each step at which it was asked.
Curves = dict[str, dict[int, float]]


def start_of(folder: Path, seed: int, compared: Comparison) -> dict[str, Any]:
    """Warm a model up and train it for some steps on all questions; return the keys that all ways have in common."""
    warm = warm_up(folder, seed, **compared.world)
    run = folder / "start"
    steps = {"trainer.total_training_steps": START_STEPS, "trainer.save_freq": START_STEPS}
    train(run, warm | PLAIN | steps, recipe=compared.recipe)
    return warm | PLAIN | {"actor_rollout_ref.model.path": newest_model(run), "data.seed": seed + 2}


def selected(folder: Path, way: str, options: list[str], keys: dict[str, Any], seed: int, samples: int) -> Path:
    """Select questions by the pass rates of the model at the start, which are sampled once for each seed."""
    data, rates, out = keys["data.train_files"], folder / "pass-rates", folder / f"selected-{way}"
    if not (rates / "summary.json").is_file():
        model = keys["actor_rollout_ref.model.path"]
        asked = ["--model", str(model), "--data", str(data), "--samples", str(samples)]
        medu1(folder / "eval.log", "eval", *asked, "--out", str(rates))
    caps = [word for source in SOURCES for word in ("--cap", f"{source}={ROWS_PER_SOURCE}")]
    where = ["--data", str(data), "--evaluation", str(rates), "--out", str(out), "--seed", str(seed)]
    medu1(folder / "select.log", "select", *where, *caps, *options)
    return out / "train.parquet"


def curves_of(run: Path, test: str) -> Curves:
    """The accuracy of each question of a file at each step, from what the run kept of its validations."""
    found: Curves = defaultdict(dict)
    for step, of_step in answers(run, VALIDATION).items():
        right: dict[str, list[float]] = defaultdict(list)
        for answer in of_file(of_step, test):
            right[answer["row_id"]].append(float(answer["acc"] > 0))
        for question, values in right.items():
            found[question][step] = float(np.mean(values))
    return found


def accuracy(curves: Curves) -> dict[int, float]:
    """The held-out accuracy at each step."""
    steps = sorted({step for of_question in curves.values() for step in of_question})
    return {step: float(np.mean([of_question[step] for of_question in curves.values()])) for step in steps}


def samples_until(curve: dict[int, float], target: float) -> float:
    """Samples until the accuracy reaches a target, between two steps by straight lines; infinite if it never does."""
    before_step, before = 0, 0.0
    for step, value in curve.items():
        if value >= target:
            share = 1.0 if value == before else (target - before) / (value - before)
            return (before_step + max(0.0, share) * (step - before_step)) * SAMPLES_PER_STEP
        before_step, before = step, value
    return float("inf")


def draw(runs: dict[tuple[str, int], Curves], ways: list[str], file: Path) -> None:
    """One colour for each way: the mean over the seeds, and each seed as a thin line."""
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for place, way in enumerate(ways):
        of_way = [accuracy(curves) for (name, _), curves in runs.items() if name == way]
        for curve in of_way:
            axes.plot([step * SAMPLES_PER_STEP for step in curve], list(curve.values()), color=f"C{place}", alpha=0.3)
        mean = {step: np.mean([curve[step] for curve in of_way]) for step in of_way[0]}
        axes.plot([step * SAMPLES_PER_STEP for step in mean], list(mean.values()), color=f"C{place}", label=way)
    axes.set(xlabel="samples", ylabel="held-out accuracy")
    axes.legend()
    save(figure, file)


def show(runs: dict[tuple[str, int], Curves], ways: list[str], seeds: list[int]) -> None:
    """Print the table; the control comes first."""
    control, *_ = ways
    targets = {seed: list(accuracy(runs[control, seed]).values())[-1] for seed in seeds}
    heads = ["questions", "samples to the control's last accuracy, by seed", "accuracy at the end", "mean accuracy"]
    heads += ["against the control, 95 % interval", "p"]
    typer.echo(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    keys = [(seed, question) for seed in seeds for question in runs[control, seed]]
    means = {
        way: np.array([np.mean(list(runs[way, seed][question].values())) for seed, question in keys]) for way in ways
    }
    for way in ways:
        of_way = {seed: accuracy(runs[way, seed]) for seed in seeds}
        needed = [samples_until(of_way[seed], targets[seed]) for seed in seeds]
        row = [way, " ".join("never" if np.isinf(number) else f"{number:.0f}" for number in needed)]
        row += [f"{np.mean([list(curve.values())[-1] for curve in of_way.values()]):.3f}", f"{means[way].mean():.3f}"]
        if way == control:
            row += ["", ""]
        else:
            change = paired_difference(means[control], means[way])
            row += [f"{change.value:+.3f} ({change.low:+.3f} to {change.high:+.3f})", f"{change.p_value:.3f}"]
        typer.echo(f"| {' | '.join(row)} |")


def main(
    method: Annotated[Method, typer.Argument(help="Whose choice of questions.", show_default=False)],
    seed: Annotated[list[int] | None, typer.Option(help="Seed; may be repeated. Default: 0, 1 and 2.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Samples of a question, for its pass rate.")] = 8,
    out: Annotated[
        Path | None,
        typer.Option(help=f"Folder for runs and logs. Default: outputs/selection; {IMAGES_OUT} for pictures."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="SVG file to write.")] = None,
    settings: Annotated[list[str] | None, typer.Argument(help="Further KEY=VALUE settings for `medu1 train`.")] = None,
) -> None:
    """Train in each way and compare."""
    seeds, compared = seed or [0, 1, 2], COMPARISONS[method]
    ways = compared.ways
    held_out = {
        "trainer.total_training_steps": STEPS,
        "trainer.test_freq": EVERY,
        "trainer.val_before_train": "true",
        "trainer.save_freq": -1,
        **SAMPLED,
    }
    runs: dict[tuple[str, int], Curves] = {}
    folders: dict[tuple[str, ...], list[Path]] = {(way,): [] for way in ways}
    for number in seeds:
        folder = (out or compared.out) / str(number)
        start = start_of(folder, number, compared)
        test = Path(start["data.val_files"])
        if compared.recipe == IMAGES["recipe"]:
            held_out |= with_each_picture(test)
        for way, (options, keys) in ways.items():
            every = start | held_out | keys
            if options is not None:
                every |= {"data.train_files": selected(folder, way, options, start, number, samples)}
            run = folder / f"{method}-{way.replace(' ', '-')}"
            train(run, every, *(settings or []), recipe=compared.recipe)
            runs[way, number] = curves_of(run, test.stem)
            folders[way,].append(run)
    show(runs, list(ways), seeds)
    if compared.recipe == IMAGES["recipe"]:
        show_pictures(["accuracy at the end"], folders, test.stem)
    if plot is not None:
        draw(runs, list(ways), plot)


if __name__ == "__main__":
    typer.run(main)
