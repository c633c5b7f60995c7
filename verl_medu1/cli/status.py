"""`medu1 status`: how a run on Slurm stands."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table


def status(
    job: Annotated[str, typer.Argument(metavar="JOB|RUN_DIR", help="Job number, or folder of a run or of a pipeline.")],
    runs: Annotated[
        Path, typer.Option(help="Folder to search for the job's run once Slurm has forgotten the job.")
    ] = Path("outputs"),
) -> None:
    """Show a run's attempts, steps, last reward and logs, or a pipeline's stages; Slurm is asked where there is one."""
    from rich.console import Console

    from verl_medu1.cluster.submission import state_of
    from verl_medu1.run_folder.attempts import ATTEMPTS, SUBMITTED, attempts_table, jobs_of, read_attempts, submitted
    from verl_medu1.run_folder.pipeline import PIPELINE

    run_dir = _run_dir(job, runs)
    if (run_dir / PIPELINE).is_file():
        Console(highlight=False, soft_wrap=True, width=140).print(_stages(run_dir))
        return
    attempts = read_attempts(run_dir)
    numbers = jobs_of(run_dir)
    if unreadable := submitted(run_dir)[1]:
        typer.echo(f"{run_dir / SUBMITTED}: lines that name no job are left out: {unreadable}", err=True)
    if not numbers:
        if job.isdecimal() and (state := state_of(job)):
            typer.echo(f"Job: {job}, {state}; nothing of its run is in {run_dir} yet.")
            return
        raise ValueError(f"RUN_DIR {run_dir} has neither {ATTEMPTS}/ nor a submitted job; give the run_dir of a job.")
    number = job if job.isdecimal() else numbers[-1]
    try:
        state = state_of(number)
    except ValueError as error:  # show what the files say anyway
        state = f"unknown: {error}"
    console = Console(highlight=False, soft_wrap=True)
    console.width = max(console.width, 140)
    console.print(f"Run: {run_dir}")
    console.print(f"Job: {number}, {state or 'not in the queue'}")
    if attempts:
        console.print(attempts_table(attempts, number if state else None))
    for line in _progress(run_dir):
        console.print(line)
    if attempts:
        console.print(f"Logs: {attempts[-1].folder}")


def _stages(run_dir: Path) -> "Table":
    """Make a table with a row for each stage of a pipeline: how it stands, and its last job."""
    from rich.table import Table

    from verl_medu1.cluster.submission import state_of as state_of_job
    from verl_medu1.run_folder.attempts import jobs_of
    from verl_medu1.run_folder.pipeline import job_folder, read_stages, state_of

    table = Table("stage", "command", "how it stands", "job", "folder")
    for stage in read_stages(run_dir)[0]:
        numbers = jobs_of(job_folder(run_dir, stage))
        job = f"{numbers[-1]}, {_or_unknown(state_of_job, numbers[-1]) or 'not in the queue'}" if numbers else "-"
        table.add_row(stage.name, stage.command, _or_unknown(state_of, stage), job, str(stage.folder))
    return table


def _or_unknown[T](ask: Callable[[T], str | None], about: T) -> str | None:
    """Return what a question is answered with; why it can't be, for everything else is to be shown anyway."""
    try:
        return ask(about)
    except ValueError as error:
        return f"unknown: {error}"


def _run_dir(job: str, runs: Path) -> Path:
    from verl_medu1.cluster.submission import run_dir_of
    from verl_medu1.run_folder.attempts import find_run

    if not job.isdecimal():
        if not Path(job).is_dir():
            raise ValueError(f"JOB {job!r} is neither the number of a job nor a folder; `squeue --me` lists your jobs.")
        return Path(job)
    found = find_run(job, runs) or run_dir_of(job)
    if found is None:
        raise ValueError(
            f"JOB {job} is known neither to Slurm nor below {runs}; give the folder of the run, or --runs."
        )
    return found


def _progress(run_dir: Path) -> list[str]:
    """Sentences about steps, reward, checkpoint and what it does now, as far as files tell."""
    from verl_medu1.run_folder.checkpoints import newest_step
    from verl_medu1.run_folder.names import CHECKPOINTS, TENSORBOARD
    from verl_medu1.run_folder.reader import read_progress, read_scalars

    scalars = read_scalars(run_dir / TENSORBOARD) if (run_dir / TENSORBOARD).is_dir() else {}
    reward = scalars.get("critic/score/mean")
    lines = []
    if reward:
        step = max(reward)
        lines.append(
            f"Steps: {step} done; reward of the last one {reward[step]:.3f}, of the first one {reward[min(reward)]:.3f}"
        )
    else:
        lines.append("Steps: none is done")
    newest = newest_step(run_dir / CHECKPOINTS)
    lines.append(f"Newest checkpoint: {'none' if newest is None else f'step {newest}'}")
    if progress := read_progress(run_dir):
        lines.append(f"Last sign of life: {progress}")
    return lines
