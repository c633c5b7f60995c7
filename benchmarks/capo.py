"""Pictures against a name that misleads: a reward for right answers, and one for those that rest on the picture.

    python benchmarks/capo.py [--seed 0 --seed 1 --seed 2] [--plot docs/methods/capo.svg]

For each seed a small model is warmed up on demonstrations of which most guess, and trained twice with `recipe=capo-cpu`
on questions whose name for the spot suggests the answer in 19 of 20: once for right answers alone, and once with the
perception reward. Before and after, it is asked questions whose name tells nothing (`test`), suggests the answer in one
of 20 (`reversed`), and those of `test` with an empty picture and with another question's. Prints Markdown tables of the
accuracy and of the gain by the picture (median, range and n, in nats per token), and draws by step how many answers are
right and their mean gain. Runs that are there already, with the same settings, are not repeated.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from figures import pyplot, save
from pictures import of_file
from trainings import HELD_OUT_SAMPLES, SAMPLED, answers, of_questions, train, warm_up

from verl_medu1.data.generated.images import GUESS, LOOK
from verl_medu1.evaluate.statistics import paired_difference
from verl_medu1.run_folder.names import VALIDATION

RECIPE, WARM_UP, SOURCE, MODEL = "capo-cpu", "images-cpu", "quickstart-images", "tiny-vl"
# What is paid -> the key. It is measured in both.
SETTINGS = {"right answers": 0.0, "right answers that rest on the picture": 1.0}
WEIGHT = "scoring.perception.weight"
# Files of held-out questions, and what the name of the spot tells.
ASKED = {
    "test": "nothing",
    "reversed": "another answer",
    "test_blank": "nothing, and the picture is empty",
    "test_other": "nothing, and the picture is another question's",
}
OWN_PICTURE = ("test", "reversed")
HELD_OUT = {"trainer.test_freq": "${trainer.total_training_steps}", "trainer.val_before_train": "true", **SAMPLED}


def accuracy(rows: list[dict[str, Any]], file: str) -> list[float]:
    """The accuracy on each question of a file, in a fixed order."""
    return list(of_questions(of_file(rows, file), "acc").values())


def gains(rows: list[dict[str, Any]], way: str) -> str:
    """The gain by the picture of right answers whose reasoning goes this way, in words, with their own pictures."""
    found = [
        row["perception_gain"]
        for file in OWN_PICTURE
        for row in of_file(rows, file)
        if row["acc"] and f"<think>{way} " in row["output"]
    ]
    if not found:
        return "none"
    return f"{np.median(found):.3f} ({min(found):.3f} to {max(found):.3f}), n = {len(found)}"


def draw(curves: dict[tuple[str, int], dict[str, list[float]]], file: Path) -> None:
    """One panel for right answers and one for the gain; a colour for each setting, a line for each seed."""
    figure, panels = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    titles = {"acc": "share right (training)", "perception_gain": "gain by the picture, nats per token"}
    for panel, (name, title) in zip(panels, titles.items(), strict=True):
        for (setting, seed), found in curves.items():
            colour = f"C{list(SETTINGS).index(setting)}"
            panel.plot(range(1, len(found[name]) + 1), found[name], color=colour, label=f"{setting}, seed {seed}")
        panel.set(title=title, xlabel="step")
    panels[0].legend(fontsize=7)
    save(figure, file)


def main(
    seed: Annotated[list[int] | None, typer.Option(help="Seed; may be repeated. Default: 0, 1 and 2.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for runs and logs.")] = Path("outputs/capo-seeds"),
    plot: Annotated[Path | None, typer.Option(help="SVG file to write.")] = None,
    settings: Annotated[list[str] | None, typer.Argument(help="Further KEY=VALUE settings for `medu1 train`.")] = None,
) -> None:
    """Train, ask and compare."""
    heads = ["seed", "paid", "the name tells", "before", "after", "difference", "p"]
    typer.echo(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    curves: dict[tuple[str, int], dict[str, list[float]]] = {}
    compared, measured = [], []
    for number in seed or [0, 1, 2]:
        folder = out / str(number)
        keys = warm_up(folder, number, source=SOURCE, recipe=WARM_UP, model=MODEL)
        data = folder / "data"
        keys |= HELD_OUT | {
            "data.train_files": data / "misleading.parquet",
            "data.val_files": f"[{','.join(str(data / f'{file}.parquet') for file in ASKED)}]",
            "trainer.save_freq": -1,
        }
        found = {}
        for setting, weight in SETTINGS.items():
            run = folder / f"perception-{weight:g}"
            train(run, keys | {WEIGHT: weight}, *(settings or []), recipe=RECIPE)
            steps = answers(run).values()
            curves[setting, number] = {
                name: [float(np.mean([row[name] for row in rows])) for rows in steps]
                for name in ("acc", "perception_gain")
            }
            before, *_, after = answers(run, VALIDATION).values()
            found[setting] = accuracy(after, "reversed")
            for file, told in ASKED.items():
                pair = [accuracy(rows, file) for rows in (before, after)]
                change = paired_difference(*pair)
                cells = [str(number), setting, told, *(f"{np.mean(values):.2f}" for values in pair)]
                cells += [f"{change.value:+.2f} ({change.low:+.2f} to {change.high:+.2f})", f"{change.p_value:.2g}"]
                typer.echo(f"| {' | '.join(cells)} |")
        measured.append((number, *(gains(before, way) for way in (LOOK, GUESS))))
        compared.append((number, paired_difference(*found.values())))
    typer.echo(f"\n| seed | reversed, with the perception reward less without | 95 % interval | p |\n{'|---' * 4}|")
    for number, change in compared:
        interval = f"{change.low:+.2f} to {change.high:+.2f}"
        typer.echo(f"| {number} | {change.value:+.2f} | {interval} | {change.p_value:.2g} |")
    typer.echo(f"\n| seed | gain of right answers that look, before | of right answers that guess |\n{'|---' * 3}|")
    for row in measured:
        typer.echo(f"| {' | '.join(map(str, row))} |")
    typer.echo(f"\n{HELD_OUT_SAMPLES} answers to each held-out question.")
    if plot:
        draw(curves, plot)


if __name__ == "__main__":
    typer.run(main)
