"""Images in the rollout: what a model answers when it is shown the picture, an empty one, and another question's.

    python benchmarks/images.py [--recipe rarl-cpu] [--seed 0 --seed 1 --seed 2] [--plot docs/methods/images.svg]

For each seed a small model is warmed up on demonstrations of which most guess, and trained on questions about generated
pictures: all of it with `recipe=images-cpu`; with `rarl-cpu` adapters in its language model, on variants of the prompt.
The same held-out questions are asked with each picture before and after the training. Prints Markdown tables of the
accuracy and of the peak memory, and, with the true pictures, of the share of answers whose reasoning looks and of the
accuracy by kind of question; draws the reward of each step. Runs that are there already, with the same settings, are
not repeated.
"""

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from figures import draw_seeds
from pictures import SHOWN, of_file, with_each_picture
from trainings import HELD_OUT_SAMPLES, SAMPLED, answers, of_questions, train, warm_up

from verl_medu1.data.generated.images import KINDS, LOOK
from verl_medu1.evaluate.statistics import paired_difference
from verl_medu1.run_folder.names import METRICS, VALIDATION

SOURCE, MODEL = "quickstart-images", "tiny-vl"
HELD_OUT = {"trainer.test_freq": "${trainer.total_training_steps}", "trainer.val_before_train": "true", **SAMPLED}


class Recipe(StrEnum):
    """What is trained, and on which prompts."""

    IMAGES = "images-cpu"
    RARL = "rarl-cpu"


# Recipe -> further options of `medu1 prepare`.
PROMPTS = {Recipe.IMAGES: (), Recipe.RARL: ("--prompts", "recipes/rarl-cpu/prompts.yaml")}


def peak_memory(run: Path) -> float:
    """The most memory of the machine in use in any step, in GB; that of other programs is in it."""
    steps = [json.loads(line)["data"] for line in (run / METRICS).read_text(encoding="utf-8").splitlines()]
    return max(step.get("actor/perf/cpu_memory_used_gb", 0.0) for step in steps)


def looks(rows: Sequence[dict[str, Any]]) -> str:
    """The share of answers whose reasoning looks at the picture, in words."""
    return f"{np.mean([f'<think>{LOOK} ' in row['output'] for row in rows]):.2f}"


def by_kind(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The accuracy of the answers to each kind of question, in words."""
    starts = {kind: [wording.split("{name}")[0] for wording in wordings] for kind, (_, wordings) in KINDS.items()}
    found = [[row["acc"] for row in rows if any(start in row["input"] for start in of)] for of in starts.values()]
    return [f"{np.mean(accuracies):.2f}" for accuracies in found]


def main(
    recipe: Annotated[Recipe, typer.Option(help="Recipe of warm-up and training.")] = Recipe.IMAGES,
    seed: Annotated[list[int] | None, typer.Option(help="Seed; may be repeated. Default: 0, 1 and 2.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for runs and logs. Default: outputs/RECIPE-seeds.")] = None,
    plot: Annotated[Path | None, typer.Option(help="SVG file to write.")] = None,
    settings: Annotated[list[str] | None, typer.Argument(help="Further KEY=VALUE settings for `medu1 train`.")] = None,
) -> None:
    """Train, ask with each picture, and print the table."""
    heads = ["seed", "shown", "before", "after", "difference", "p", "peak memory, GB"]
    typer.echo(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    curves: dict[int, list[float]] = {}
    seen = []
    for number in seed or [0, 1, 2]:
        folder = (out or Path(f"outputs/{recipe}-seeds")) / str(number)
        keys = warm_up(folder, number, *PROMPTS[recipe], source=SOURCE, recipe=recipe, model=MODEL)
        run = folder / "trained"
        asked = with_each_picture(folder / "data" / "test.parquet")
        train(run, keys | HELD_OUT | asked, *(settings or []), recipe=recipe)
        curves[number] = [float(np.mean([row["acc"] for row in rows])) for rows in answers(run).values()]
        before, *_, after = answers(run, VALIDATION).values()
        for shown, ending in SHOWN.items():
            of_both = [of_file(rows, f"test{ending}") for rows in (before, after)]
            pair = [list(of_questions(rows, "acc").values()) for rows in of_both]
            change = paired_difference(*pair)
            cells = [str(number), shown, *(f"{np.mean(values):.2f}" for values in pair)]
            cells += [f"{change.value:+.2f} ({change.low:+.2f} to {change.high:+.2f})", f"{change.p_value:.2g}"]
            typer.echo(f"| {' | '.join([*cells, f'{peak_memory(run):.1f}'])} |")
        shown_true = [of_file(rows, "test") for rows in (before, after)]
        seen.append([str(number), *map(looks, shown_true), *by_kind(shown_true[1])])
    heads = ["seed", "looks, before", "looks, after", *(f"right after: {kind}" for kind in KINDS)]
    typer.echo(f"\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for cells in seen:
        typer.echo(f"| {' | '.join(cells)} |")
    typer.echo(f"\n{HELD_OUT_SAMPLES} answers to each held-out question.")
    if plot:
        draw_seeds(curves, "share right", plot)


if __name__ == "__main__":
    typer.run(main)
