"""Does it teach? A pretrained model from a cold start through reinforcement, in several ways, on two cores.

    python benchmarks/study.py DATA [--seed 0 --seed 1 --seed 2] [--config benchmarks/study.yaml] [--out outputs/study]
        [--plot docs/study.svg]

DATA has medcalc.json and medmcqa_validation.parquet as they are published (docs/data.md). Prepares the questions, warms
the model up once for each seed, selects the training questions that it sometimes answers right, trains each cell on
these, and asks the held-out questions after each. Prints Markdown tables of all that is done, and draws the curves.
Stopped and started again it goes on where it was; a training goes on from its newest checkpoint. `--tables` trains
nothing, and shows what is there.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from study_data import MEDCALC, UNSEEN, held_out, of_seed
from study_plan import Study, as_arguments, as_options, read_study
from study_tables import draw, tables
from trainings import DONE, medu1

from verl_medu1.run_folder.checkpoints import newest_model

FAMILIES = ("seen", "unseen formulas", "MedCalc-Bench")
COLD = "cold-start"
CONFIG = Path(__file__).with_name("study.yaml")


def stage(folder: Path, *arguments: str, resumes: bool = False) -> None:
    """Run a command that fills a folder, unless it has done so with the same arguments.

    Args:
        folder: which the arguments name.
        arguments: of medu1.
        resumes: the command goes on with what is there; else the folder is emptied first.

    Raises:
        SystemExit: the folder was filled with other arguments, or the command fails.
    """
    done = folder / DONE
    if done.is_file():
        if json.loads(done.read_text()) != list(arguments):
            raise SystemExit(f"{folder} has the results of other settings; remove it, or choose another --out.")
        return
    if not resumes:
        shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    typer.echo(f"{folder}: medu1 {arguments[0]}", err=True)
    medu1(folder.with_name(f"{folder.name}.log"), *arguments)
    done.write_text(json.dumps(arguments))


def model_of(study: Study, out: Path) -> Path:
    """The model that everything starts from: the study's folder, or one that `medu1 model` writes."""
    if Path(study.model).is_dir():
        return Path(study.model)
    stage(out / "model", "model", study.model, "--out", str(out / "model"))
    return out / "model"


def evaluate(study: Study, model: Path | str, out: Path, seed: int, cell: str) -> None:
    """Ask all held-out questions."""
    files = (out / str(seed) / "data" / "test.parquet", out / UNSEEN, out / MEDCALC)
    for family, file in zip(FAMILIES, files, strict=True):
        folder = evaluation(out, seed, cell, family)
        arguments = ["--model", str(model), "--data", str(file), "--out", str(folder), *as_options(study.evaluation)]
        stage(folder, "eval", *arguments, resumes=True)


def select(study: Study, model: Path, out: Path, seed: int) -> Path:
    """Return the file of the training questions that the cold start answers right at times."""
    questions = out / str(seed) / "data" / "train.parquet"
    rates, selected = out / str(seed) / "pass-rates", out / str(seed) / "selected"
    arguments = ["--model", str(model), "--data", str(questions), "--out", str(rates), *as_options(study.pass_rates)]
    stage(rates, "eval", *arguments, resumes=True)
    arguments = ["--data", str(questions), "--evaluation", str(rates), "--out", str(selected)]
    stage(selected, "select", *arguments, *as_options(study.selection), "--seed", str(seed))
    return selected / "train.parquet"


def evaluation(out: Path, seed: int, cell: str, family: str) -> Path:
    """The folder of the answers of a seed's cell to the questions of a family."""
    return out / str(seed) / f"{cell}-evaluation" / family.replace(" ", "-")


def run(study: Study, seeds: Sequence[int], files: Path, out: Path) -> None:
    """Prepare, train and evaluate what these seeds don't have yet."""
    model = model_of(study, out)
    for folder, arguments in held_out(study.data, model, files, out).items():
        stage(folder, "prepare", *arguments, "--out", str(folder))
    for seed in seeds:
        data, cold = out / str(seed) / "data", out / str(seed) / COLD
        arguments = of_seed(study.data, study.cold_start.demonstrations, model, files, out, seed)
        stage(data, "prepare", *arguments, "--out", str(data))
        keys = {"run_dir": cold, "model.path": model, "data.train_files": data / "warmup.parquet"}
        stage(cold, "sft", f"recipe={study.recipe}", *as_arguments(keys | study.cold_start.settings))
        warm = newest_model(cold)
        questions = select(study, warm, out, seed)
        evaluate(study, warm, out, seed, COLD)
        for name, cell in study.cells.items():
            if seed in cell.seeds:
                trained = out / str(seed) / name
                of_cell = study.settings | cell.settings
                of_cell |= {"run_dir": trained, "actor_rollout_ref.model.path": warm, "data.seed": seed + 1}
                of_cell |= {"data.train_files": questions, "data.val_files": data / "test.parquet"}
                stage(trained, "train", f"recipe={study.recipe}", *as_arguments(of_cell), resumes=True)
                evaluate(study, trained, out, seed, name)


def found(study: Study, seeds: Sequence[int], out: Path) -> dict[tuple[str, int], dict[str, Path]]:
    """The folders of evaluations that are complete, by cell (the cold start among them) and seed, then by family."""
    folders = {
        (name, seed): {family: evaluation(out, seed, name, family) for family in FAMILIES}
        for name in (COLD, *study.cells)
        for seed in seeds
    }
    return {key: of_key for key, of_key in folders.items() if all((one / DONE).is_file() for one in of_key.values())}


def main(
    data: Annotated[Path, typer.Argument(help="Folder with medcalc.json and medmcqa_validation.parquet.")],
    seed: Annotated[list[int] | None, typer.Option(help="Seed; may be repeated. Default: all of the study.")] = None,
    config: Annotated[Path, typer.Option(help="YAML file of the study.")] = CONFIG,
    out: Annotated[Path, typer.Option(help="Folder for everything; an interrupted study in it goes on.")] = Path(
        "outputs/study"
    ),
    plot: Annotated[Path | None, typer.Option(help="SVG file to write.")] = None,
    only_tables: Annotated[bool, typer.Option("--tables", help="Train nothing; show what is there.")] = False,
) -> None:
    """Train what is missing, and print the tables."""
    try:
        study = read_study(config)
    except ValueError as error:
        raise SystemExit(f"{error}") from None
    seeds = seed or study.seeds
    if unknown := set(seeds) - set(study.seeds):
        raise SystemExit(f"--seed {min(unknown)}: {config} has the seeds {study.seeds}.")
    if not only_tables:
        run(study, seeds, data, out)
    evaluations = found(study, seeds, out)
    runs = {(name, seed): out / str(seed) / name for name, seed in evaluations if name != COLD}
    typer.echo("\n\n".join(tables(evaluations, runs)))
    if plot:
        draw(evaluations, runs, plot)


if __name__ == "__main__":
    typer.run(main)
