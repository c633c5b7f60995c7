"""Consultations: how much of what asking is worth a small model learns, against the exact optimum.

    python benchmarks/consultation.py [--seed 0 --seed 1 --seed 2] [--plot docs/methods/doctoragent-rl.svg]

For each seed a small model is warmed up on dialogues that ask for any findings, and trained on generated patients
(`recipe=consultation-cpu`). Held-out patients are diagnosed after the warm-up and after the training: those of the
training's prior of diseases, those of another prior, which the model is not told, and the first ones once more, silent.
Prints Markdown tables by the number of questions that may be asked, and draws the reward of each step. Runs that are
there already, with the same settings, are not repeated.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow.parquet as pq
import typer
from consultation_gap import Measured, gap_closed, measure, read_case, transferred
from figures import pyplot, save
from trainings import SAMPLED, answers, train, warm_up

from verl_medu1.data.generated.consultation import BUDGETS, SOURCE, Case, World, make_world
from verl_medu1.run_folder.checkpoints import newest_model
from verl_medu1.run_folder.names import VALIDATION

RECIPE = "consultation-cpu"
# There are many held-out patients, so that each is seen twice only.
CONSULTATIONS = 2
HELD_OUT = {
    "trainer.test_freq": "${trainer.total_training_steps}",
    "trainer.val_before_train": "true",
    **SAMPLED,
    "actor_rollout_ref.rollout.val_kwargs.n": CONSULTATIONS,
}
# Name of the patients -> their file, and whether their prior is the other one.
PATIENTS = {"the training's prior": ("test.parquet", False), "another prior": ("test_prior.parquet", True)}
SILENT = "silent"
HEADS = (
    "patients",
    "budget",
    "guess",
    "any questions",
    "optimum",
    "right after the warm-up",
    "right",
    "gap from guess to optimum closed",
    "the same by posterior",
    "gap from any questions closed, by posterior",
    "asked",
    "best question",
    "best by chance",
)


def cases_of(file: Path) -> dict[str, Case]:
    """The patients of a file by the id of their row."""
    return {row["extra_info"]["row_id"]: read_case(row) for row in pq.read_table(file).to_pylist()}


def measured(
    world: World, cases: Mapping[str, Case], rows: Sequence[Mapping[str, Any]], silent: bool = False
) -> dict[str, list[Measured]]:
    """The consultations of each of these patients, in a fixed order of patients."""
    found: dict[str, list[Measured]] = {name: [] for name in sorted(cases)}
    for row in rows:
        if row["row_id"] in found:
            found[row["row_id"]].append(measure(world, cases[row["row_id"]], row, silent))
    return found


def line(
    who: str, budget: int | None, before: Sequence[Sequence[Measured]], after: Sequence[Sequence[Measured]]
) -> str:
    """One row of the table: the patients with this budget, or all."""
    before, after = ([case for case in of if budget in (None, case[0].budget)] for of in (before, after))
    earlier, samples = ([one for case in of for one in case] for of in (before, after))
    cells = [who, "all" if budget is None else str(budget)]
    cells += [mean([getattr(one, name) for one in samples]) for name in ("guess", "unguided", "optimum")]
    cells += [mean([one.right for one in of]) for of in (earlier, samples)]
    closed = (gap_closed(after), gap_closed(after, "expected"), gap_closed(after, "expected", "unguided"))
    cells += ["{:.2f} ({:.2f} to {:.2f})".format(*estimate) for estimate in closed]
    cells += [mean([one.asked for one in samples])]
    cells += [mean([flag for one in samples for flag in getattr(one, name)]) for name in ("best", "by_chance")]
    return f"| {' | '.join(cells)} |"


def mean(values: Sequence[float]) -> str:
    """The mean of some numbers; a dash for none."""
    return f"{np.mean(values):.3f}" if values else "-"


def draw(curves: Mapping[int, Mapping[int, Sequence[float]]], file: Path) -> None:
    """The share of right diagnoses in each step of the training: one panel a seed, one line for each budget."""
    figure, panels = pyplot.subplots(
        1, len(curves), figsize=(3.6 * len(curves) + 1, 3.6), sharey=True, squeeze=False, layout="constrained"
    )
    for panel, (seed, of_budget) in zip(panels[0], curves.items(), strict=True):
        for budget, values in of_budget.items():
            # Each step has few patients with one budget.
            smooth = [float(np.nanmean(values[max(0, place - 7) : place + 1])) for place in range(len(values))]
            panel.plot(range(1, len(values) + 1), smooth, color=f"C{budget}", label=f"{budget} questions")
        panel.set(title=f"seed {seed}", xlabel="step")
    panels[0][0].set(ylabel="share right, mean of 8 steps")
    panels[0][0].legend(fontsize=8)
    save(figure, file)


def curve(run: Path, cases: Mapping[str, Case]) -> dict[int, list[float]]:
    """The share of right diagnoses by step, for each budget; without the patients who know nothing."""
    found: dict[int, list[float]] = defaultdict(list)
    for rows in answers(run).values():
        pairs = [(cases[row["row_id"]], row["acc"]) for row in rows]
        for budget in BUDGETS:
            right = [acc for case, acc in pairs if case.knows and case.budget == budget]
            found[budget].append(float(np.mean(right or [np.nan])))
    return found


def main(
    seed: Annotated[list[int] | None, typer.Option(help="Seed; may be repeated. Default: 0, 1 and 2.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for runs and logs.")] = Path("outputs/consultation-seeds"),
    plot: Annotated[Path | None, typer.Option(help="SVG file to write.")] = None,
    settings: Annotated[list[str] | None, typer.Argument(help="Further KEY=VALUE settings for `medu1 train`.")] = None,
) -> None:
    """Train, diagnose the held-out patients, and print the tables."""
    curves: dict[int, dict[int, list[float]]] = {}
    for number in seed or [0, 1, 2]:
        folder = out / str(number)
        keys = warm_up(folder, number, source=SOURCE, recipe=RECIPE)
        data, run = folder / "data", folder / "trained"
        files = [str(data / file) for file, _ in PATIENTS.values()]
        train(run, keys | HELD_OUT | {"data.val_files": f"[{','.join(files)}]"}, *(settings or []), recipe=RECIPE)
        control = run.with_name(f"{run.name}-{SILENT}")
        of_control = {"actor_rollout_ref.model.path": newest_model(run), "trainer.val_only": "true"}
        train(control, keys | HELD_OUT | of_control | {"+episodes.settings.silent": "true"}, recipe=RECIPE)

        before, *_, after = answers(run, VALIDATION).values()
        (unheard,) = answers(control, VALIDATION).values()
        typer.echo(f"\nSeed {number}:\n\n| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
        for who, (file, skewed) in PATIENTS.items():
            world, cases = make_world(number, skewed=skewed), cases_of(data / file)
            pair = [list(measured(world, cases, rows).values()) for rows in (before, after)]
            for budget in (*BUDGETS, None):
                typer.echo(line(who, budget, *pair))
        world, cases = make_world(number), cases_of(data / "test.parquet")
        typer.echo(line(SILENT, None, [], list(measured(world, cases, unheard, silent=True).values())))
        typer.echo(f"\n{unaware(number, cases_of(data / 'test_prior.parquet'))}")
        curves[number] = curve(run, cases_of(data / "train.parquet"))
    typer.echo(f"\n{CONSULTATIONS} consultations with each held-out patient.")
    if plot:
        draw(curves, plot)


def unaware(seed: int, cases: Mapping[str, Case]) -> str:
    """What the best policy for the training's prior would reach with patients of the other one."""
    known, other = make_world(seed), make_world(seed, skewed=True)
    starts = [(((case.complaint, True),), case.budget) for case in cases.values()]
    reached = np.mean([transferred(known, other, *start) for start in starts])
    guess = np.mean([other.value(answers, 0) for answers, _ in starts])
    optimum = np.mean([other.value(*start) for start in starts])
    return (
        "Of the gap with another prior, the best policy for the training's prior closes "
        f"{(reached - guess) / (optimum - guess):.2f}."
    )


if __name__ == "__main__":
    typer.run(main)
