"""Search in the rollout: what a model answers with searches, without results, with any documents, and its twin without.

    python benchmarks/lookup.py [--seed 0 --seed 1 --seed 2] [--plot docs/methods/search.svg]

For each seed a small model is warmed up on dialogues about drugs that no document has, of which a third are right, and
trained on questions that take two searches (`recipe=lookup-cpu`). A twin is trained from the same start and may not
search. Held-out drugs are in the documents alone. Prints a Markdown table of the accuracy on them, and draws the
reward of each step. Runs that are there already, with the same settings, are not repeated.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from figures import pyplot, save
from trainings import HELD_OUT_SAMPLES, SAMPLED, answers, medu1, of_questions, train, warm_up

from verl_medu1.evaluate.statistics import paired_difference
from verl_medu1.run_folder.checkpoints import newest_model
from verl_medu1.run_folder.names import VALIDATION

RECIPE, SOURCE = "lookup-cpu", "quickstart-lookup"
HELD_OUT = {"trainer.test_freq": "${trainer.total_training_steps}", "trainer.val_before_train": "true", **SAMPLED}
# Way of training -> the keys that make it.
WAYS: dict[str, dict[str, Any]] = {"search": {}, "no search": {"episodes.max_turns": 1}}
CONTROLS = ("nothing", "random")


def controlled(run: Path, keys: dict[str, Any], control: str) -> dict[str, float]:
    """The accuracy of a trained model on each held-out question, where each search shows something else."""
    out = run.with_name(f"{run.name}-{control}")
    asked = {
        "actor_rollout_ref.model.path": newest_model(run),
        "+episodes.settings.instead": control,
        "trainer.val_only": "true",
        **HELD_OUT,
    }
    train(out, keys | asked, recipe=RECIPE)
    (rows,) = answers(out, VALIDATION).values()
    return of_questions(rows, "acc")


def draw(curves: dict[tuple[int, str], list[float]], file: Path) -> None:
    """One colour for each way, a line for each seed."""
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for place, name in enumerate(WAYS):
        for number, (_, values) in enumerate(item for item in curves.items() if item[0][1] == name):
            label = name if number == 0 else None
            axes.plot(range(1, len(values) + 1), values, color=f"C{place}", alpha=0.7, label=label)
    axes.set(xlabel="step", ylabel="share right")
    axes.legend()
    save(figure, file)


def main(
    seed: Annotated[list[int] | None, typer.Option(help="Seed; may be repeated. Default: 0, 1 and 2.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for runs and logs.")] = Path("outputs/search"),
    plot: Annotated[Path | None, typer.Option(help="SVG file to write.")] = None,
    settings: Annotated[list[str] | None, typer.Argument(help="Further KEY=VALUE settings for `medu1 train`.")] = None,
) -> None:
    """Train, evaluate under each condition, and print the table."""
    heads = [
        "seed",
        "after the warm-up",
        "with search",
        "results are nothing",
        "any documents",
        "trained without search",
    ]
    heads += ["difference by search", "p"]
    typer.echo(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    curves: dict[tuple[int, str], list[float]] = {}
    for number in seed or [0, 1, 2]:
        folder = out / str(number)
        warm = warm_up(folder, number, source=SOURCE, recipe=RECIPE)
        index = folder / "index"
        if not index.is_dir():
            medu1(folder / "index.log", "index", "build", str(folder / "data" / "corpus.parquet"), "--out", str(index))
        keys = warm | {"episodes.settings.index": index}
        found: dict[str, dict[str, float]] = {}
        for name, of_way in WAYS.items():
            run = folder / name.replace(" ", "-")
            train(run, keys | HELD_OUT | of_way, *(settings or []), recipe=RECIPE)
            curves[number, name] = [float(np.mean([row["acc"] for row in rows])) for rows in answers(run).values()]
            before, *_, after = answers(run, VALIDATION).values()
            found[name] = of_questions(after, "acc")
            if name == "search":
                found["before"] = of_questions(before, "acc")
        for control in CONTROLS:
            found[control] = controlled(folder / "search", keys, control)
        change = paired_difference(list(found["before"].values()), list(found["search"].values()))
        shown = ("before", "search", *CONTROLS, "no search")
        cells = [str(number), *(f"{np.mean(list(found[name].values())):.2f}" for name in shown)]
        cells += [f"{change.value:+.2f} ({change.low:+.2f} to {change.high:+.2f})", f"{change.p_value:.2g}"]
        typer.echo(f"| {' | '.join(cells)} |")
    typer.echo(f"\n{HELD_OUT_SAMPLES} answers to each held-out question.")
    if plot:
        draw(curves, plot)


if __name__ == "__main__":
    typer.run(main)
