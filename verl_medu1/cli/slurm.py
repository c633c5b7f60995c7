"""`medu1 slurm`: the job of a recipe at a site, shown, tried or submitted."""

from pathlib import Path
from typing import Annotated

import typer


def slurm(
    overrides: Annotated[
        list[str],
        typer.Argument(
            metavar="recipe=NAME [KEY=VALUE]...",
            help="recipe=NAME and KEY=VALUE, as for `medu1 train`.",
            show_default=False,
        ),
    ],
    site: Annotated[
        Path,
        typer.Option(
            envvar="MEDU1_SITE", help="Site file that describes the cluster (docs/slurm.md).", show_default=False
        ),
    ],
    time: Annotated[
        str | None, typer.Option(help="Time limit: D-HH:MM:SS, HH:MM:SS or minutes.  [default: the site's]")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the job file and submit nothing.")] = False,
    test_only: Annotated[
        bool, typer.Option("--test-only", help="Ask Slurm when and where the job would start, and submit nothing.")
    ] = False,
) -> None:
    """Submit a recipe to Slurm: nodes, GPUs and CPUs are the recipe's; checked and planned before."""
    from verl_medu1.cluster.job import job_of, render
    from verl_medu1.cluster.site import read_site
    from verl_medu1.config.compose import compose_config, settings_in
    from verl_medu1.plan.judge_server import judge_server, server_sentence

    cluster = read_site(site)
    judge = judge_server()
    # As the job will run it.
    config = compose_config([*overrides, *(judge.overrides if judge else [])])
    settings = settings_in(config)
    job = job_of(config, settings, overrides, cluster, time, judge=judge)
    from verl_medu1.cluster import submission
    from verl_medu1.machine.gpus import find_gpu
    from verl_medu1.plan.architecture import NotPlanned
    from verl_medu1.plan.search import step_seconds

    if not dry_run:
        submission.check_job(job, config)
    plan = None
    try:
        plan = submission.plan_job(job, config, settings)
    except NotPlanned as why:
        typer.echo(f"medu1: memory was not planned: {why}", err=True)
    except ValueError as error:
        if not dry_run:
            raise
        typer.echo(f"medu1: this job would be refused: {error}", err=True)
    if dry_run:
        typer.echo(render(job), nl=False)
        return
    gpus = f"{job.gpus} x {cluster.gpu} and " if job.gpus else ""
    typer.echo(f"{job.recipe}: nodes: {job.nodes}, each with {gpus}{job.cpus} CPUs; at most {job.time} a job.")
    if judge is not None and cluster.gpu is not None:
        typer.echo(server_sentence(judge, find_gpu(cluster.gpu)))
    if plan is not None:
        typer.echo(f"It fits; by the plan a step takes at least {step_seconds(plan):,.0f} s, without generation.")
    if test_only:
        typer.echo(submission.test_only(job))
        return
    number = submission.submit(job)
    typer.echo(f"Job {number} is submitted; watch it with:\n  medu1 status {number}\n  medu1 status {job.run_dir}")
