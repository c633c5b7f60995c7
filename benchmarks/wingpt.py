"""Two stages of WiNGPT-3.0: the soft length penalty after rules, and the mean of two specialists.

    python benchmarks/wingpt.py [--seed 0 --seed 1 --seed 2] [--plot docs/methods/wingpt.svg]

For each seed a small model is warmed up on the quickstart's questions, each with at most 12, 22 or 40 tokens. From
there it is trained

- with the recipe's penalty, which leaves right answers free up to half of these tokens, and without one;
- on calculations alone and on multiple choice alone; `medu1 merge` then makes the mean of the two.

Prints Markdown tables of the answers to held-out questions, with paired tests over questions, and draws the length of
right answers by step. Runs that are there already, with the same settings, are not repeated.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import typer
from figures import pyplot, save
from trainings import HELD_OUT_SAMPLES, SAMPLED, answers, medu1, of_questions, train, warm_up

from verl_medu1.evaluate.statistics import paired_difference
from verl_medu1.run_folder.checkpoints import newest_model
from verl_medu1.run_folder.names import VALIDATION

# Budget -> tokens of a right answer that the penalty leaves free.
FREE = {12: 6, 22: 11, 40: 20}
FILTER = {"algorithm.filter_groups.enable": "true", "algorithm.filter_groups.metric": "acc"}
PENALTY = {
    "algorithm.length_penalty.name": "soft_overlong_cosine",
    "algorithm.length_penalty.where": "reward",
    "algorithm.length_penalty.weight": 1,
}
OFF = {"algorithm.length_penalty.where": "off"}
SETTINGS = {"penalty": FILTER | PENALTY, "none": FILTER | OFF}
# Specialist -> the answer type of all its questions.
SPECIALISTS = {"A": "calculation", "B": "multiple_choice"}
HELD_OUT = {
    "trainer.save_freq": -1,
    "trainer.test_freq": "${trainer.total_training_steps}",
    **SAMPLED,
}


def over_free(rows: list[dict[str, Any]]) -> float:
    """Mean of the right answers' tokens less the free ones; NaN if none is right."""
    return float(np.mean([row["length"] - FREE[row["budget_tokens"]] for row in rows if row["acc"] > 0] or [np.nan]))


def by_budget(rows: list[dict[str, Any]]) -> str:
    """Mean number of tokens of the right answers for each budget."""
    of_budget = {
        tokens: [row["length"] for row in rows if row["acc"] > 0 and row["budget_tokens"] == tokens] for tokens in FREE
    }
    return ", ".join(f"{np.mean(lengths or [np.nan]):.1f}" for lengths in of_budget.values())


def penalty(folder: Path, warm: dict[str, Any], seed: int, settings: list[str]) -> dict[str, list[float]]:
    """Train with the penalty and without, print a row for each, and return the curves."""
    curves, accuracy = {}, {}
    for name, keys in SETTINGS.items():
        run = folder / f"penalty-{name}"
        train(run, warm | HELD_OUT | keys, *settings)
        steps = list(answers(run).values())
        curves[name] = [over_free(rows) for rows in steps]
        *_, held_out = answers(run, VALIDATION).values()
        accuracy[name] = of_questions(held_out, "acc")
        right = float(np.mean(list(accuracy[name].values())))
        typer.echo(f"| {seed} | {name} | {by_budget(steps[0])} | {by_budget(held_out)} | {right:.3f} |")
    change = paired_difference(*(list(accuracy[name].values()) for name in ("none", "penalty")))
    text = f"{change.value:+.3f} ({change.low:+.3f} to {change.high:+.3f}), p {change.p_value:.2g}"
    typer.echo(f"| {seed} | accuracy with the penalty, less without | | | {text} |")
    return curves


def evaluated(folder: Path, name: str, model: Path, data: Path) -> dict[str, dict[str, float]]:
    """The accuracy of a model on each held-out question, by answer type."""
    out = folder / f"eval-{name}"
    if not (out / "summary.json").is_file():
        asked = ["--model", str(model), "--data", str(data), "--samples", str(HELD_OUT_SAMPLES), "--out", str(out)]
        medu1(folder / f"eval-{name}.log", "eval", *asked)
    lines = (out / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return {
        task: of_questions([row for row in rows if row["answer_type"] == task], "acc") for task in SPECIALISTS.values()
    }


def merge(folder: Path, warm: dict[str, Any], seed: int, settings: list[str]) -> None:
    """Train two specialists, merge them, and print the accuracy of each of the models."""
    models = {"start": Path(warm["actor_rollout_ref.model.path"])}
    for name, task in SPECIALISTS.items():
        run, questions = folder / f"specialist-{name}", folder / f"{task}.parquet"
        table = pq.read_table(warm["data.train_files"])
        pq.write_table(table.filter(pc.field("ability") == task), questions)
        train(run, warm | OFF | {"data.train_files": questions}, *settings)
        models[name] = newest_model(run)
    merged = folder / "merged"
    if not merged.is_dir():
        medu1(folder / "merge.log", "merge", str(models["A"]), str(models["B"]), "--out", str(merged))
    models["merged"] = merged
    found = {name: evaluated(folder, name, model, warm["data.val_files"]) for name, model in models.items()}
    for name, tasks in found.items():
        cells = [f"{np.mean(list(of_task.values())):.3f}" for of_task in tasks.values()]
        if name == "merged":
            for place, task in enumerate(tasks):
                worse = min(SPECIALISTS, key=lambda parent: np.mean(list(found[parent][task].values())))
                change = paired_difference(*(list(found[model][task].values()) for model in (worse, "merged")))
                cells[place] += f" ({change.value:+.3f} from the worse parent, {change.low:+.3f} to {change.high:+.3f})"
        typer.echo(f"| {seed} | {name} | {' | '.join(cells)} |")


def draw(curves: dict[int, dict[str, list[float]]], file: Path) -> None:
    """One colour for each setting, a line for each seed."""
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for seed, of_seed in curves.items():
        for place, (name, values) in enumerate(of_seed.items()):
            label = name if seed == min(curves) else None
            axes.plot(range(1, len(values) + 1), values, color=f"C{place}", alpha=0.7, label=label)
    axes.axhline(0, color="grey", linestyle="--")
    axes.set(xlabel="step", ylabel="tokens of right answers beyond the free ones")
    axes.legend()
    save(figure, file)


def main(
    seed: Annotated[list[int] | None, typer.Option(help="Seed; may be repeated. Default: 0, 1 and 2.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for runs and logs.")] = Path("outputs/wingpt"),
    plot: Annotated[Path | None, typer.Option(help="SVG file to write.")] = None,
    settings: Annotated[list[str] | None, typer.Argument(help="Further KEY=VALUE settings for `medu1 train`.")] = None,
) -> None:
    """Train, merge, compare and draw."""
    seeds = seed or [0, 1, 2]
    warm = {
        number: warm_up(out / str(number), number, "--budget", f"max:fixed:{','.join(map(str, FREE))}")
        for number in seeds
    }
    heads = f"tokens of right answers (free: {', '.join(map(str, FREE.values()))}), first step | held-out, at the end"
    typer.echo(f"| seed | penalty | {heads} | accuracy |")
    typer.echo("|---" * 5 + "|")
    curves = {number: penalty(out / str(number), warm[number], number, settings or []) for number in seeds}
    typer.echo(f"\n| seed | model | {' | '.join(SPECIALISTS.values())} |\n{'|---' * 4}|")
    for number in seeds:
        merge(out / str(number), warm[number], number, settings or [])
    if plot:
        draw(curves, plot)


if __name__ == "__main__":
    typer.run(main)
