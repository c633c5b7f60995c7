"""`medu1 pipeline`: the stages of a recipe, one after the other."""

from pathlib import Path
from typing import Annotated

import typer


def pipeline(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="recipe=NAME [run_dir=DIR] [STAGE:KEY=VALUE]...",
            help="A recipe with a pipeline.yaml, the folder of the pipeline, and settings of single stages.",
            show_default=False,
        ),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the commands and run nothing.")] = False,
    slurm: Annotated[
        bool, typer.Option("--slurm", help="Submit a Slurm job for each stage that is left; each waits for the last.")
    ] = False,
    site: Annotated[
        Path | None,
        typer.Option(envvar="MEDU1_SITE", help="Site file that describes the cluster, for --slurm (docs/slurm.md)."),
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="Time limit of each job, for --slurm.  [default: the site's]")
    ] = None,
) -> None:
    """Run a recipe's stages, such as cold start, reinforcement learning and merge; the same command goes on."""
    import shlex

    from verl_medu1.config.pipeline import stages_of

    run_dir, stages = stages_of(arguments)
    if dry_run:
        for stage in stages:
            typer.echo(f"medu1 {stage.command} {shlex.join(stage.arguments)}")
        return
    if slurm:
        from verl_medu1.cluster.pipeline import submit_pipeline
        from verl_medu1.cluster.site import read_site

        if site is None:
            raise ValueError("--slurm needs --site FILE or MEDU1_SITE, which describes the cluster (docs/slurm.md).")
        for name, number in submit_pipeline(run_dir, stages, read_site(site), time):
            typer.echo(f"{name}: job {number}")
        typer.echo(f"Watch them with:\n  medu1 status {run_dir}")
        return
    from verl_medu1.run.pipeline import run_pipeline

    if code := run_pipeline(run_dir, stages):
        raise typer.Exit(code)
