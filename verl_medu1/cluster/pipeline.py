"""Submits a job for each stage of a pipeline that is left; each waits until the one before it has ended well."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from verl_medu1.cluster.job import Job, job_of
from verl_medu1.cluster.site import Site, example_sites
from verl_medu1.cluster.submission import check_job, plan_job, require_no_job, submit
from verl_medu1.config.compose import compose_config, settings_in
from verl_medu1.config.inputs import inputs_of
from verl_medu1.config.model_path import MODEL
from verl_medu1.config.recipes import SFT, TRAIN
from verl_medu1.exit import raise_all, say
from verl_medu1.plan.architecture import NotPlanned
from verl_medu1.run_folder.pipeline import DONE, TRAINING, Stage, job_folder, state_of, write_stages

if TYPE_CHECKING:
    from omegaconf import DictConfig

# Most processors of a command that trains nothing: it reads, adds up and writes.
PROCESSORS = 8


def submit_pipeline(
    run_dir: Path, stages: Sequence[Stage], site: Site, time: str | None = None
) -> Iterator[tuple[str, str]]:
    """Submit the stages that are not done, in order, after checking all of them.

    Args:
        run_dir: folder of the pipeline.
        stages: in order.
        site: the cluster.
        time: a time limit of each job instead of the site's.

    Yields:
        The name of each stage, and the number of its job, as soon as it is submitted.

    Raises:
        ValueError: a stage can't run at the site, one has a job already, or Slurm refuses.
    """
    if "MEDU1_JUDGE_MODEL" in os.environ:
        raise ValueError(
            "MEDU1_JUDGE_MODEL is set, and each job of the pipeline would start that judge; unset it, and give the "
            "stage that needs a judge an address, STAGE:scoring.judge.base_url=..., or STAGE:judge=pool."
        )
    by_name = {stage.name: stage for stage in stages}
    left = [stage for stage in stages if state_of(stage) != DONE]
    jobs = [_job(run_dir, stage, by_name, site, time) for stage in left]
    for job in jobs:
        require_no_job(job.run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    # Of a stage that builds on one that is left, nothing can be said yet but its arguments.
    begun = {stage.name: {} if {*stage.needs} & {one.name for one in left} else inputs_of(stage) for stage in stages}
    write_stages(run_dir, stages, begun)
    number = None
    for stage, job in zip(left, jobs, strict=True):
        number = submit(job, after=number)
        yield stage.name, number


def _job(run_dir: Path, stage: Stage, by_name: Mapping[str, Stage], site: Site, time: str | None) -> Job:
    if stage.command != "train":
        return _command_job(run_dir, stage, site, time)
    config = compose_config([*stage.arguments, f"{MODEL[TRAIN]}={_first_model(stage, by_name)}"])
    settings = settings_in(config)
    try:
        job = job_of(config, settings, stage.arguments, site, time)
        check_job(job, config)
        try:
            plan_job(job, config, settings)
        except NotPlanned as why:
            say(f"medu1: stage {stage.name}: memory was not planned: {why}")
        return job
    except ValueError as error:
        raise ValueError(f"stage {stage.name}: {error}") from None


def _first_model(stage: Stage, by_name: Mapping[str, Stage]) -> str:
    """Return a model of the size of the one that a stage will read: its own if that is there, else an ancestor's."""
    for name in stage.needs:
        if state_of(by_name[name]) != DONE:
            return _first_model(by_name[name], by_name)
    if stage.command not in TRAINING:
        return stage.arguments[0]
    kind = SFT if stage.command == "sft" else TRAIN
    model = compose_config(stage.arguments, kind)
    for part in MODEL[kind].split("."):
        model = model[part]
    return str(model)


def _command_job(run_dir: Path, stage: Stage, site: Site, time: str | None) -> Job:
    """Return the job of a stage that trains without Ray, or not at all: on one node."""
    gpus, processors = 0, min(PROCESSORS, site.cpus_per_node)
    if stage.command == "sft":
        trainer = compose_config(stage.arguments, SFT).trainer
        raise_all(_sft_violations(stage, trainer, site))
        gpus = 0 if trainer.device == "cpu" else int(trainer.n_gpus_per_node)
        processors = site.cpus_per_node * gpus // site.gpus_per_node if gpus else processors
    share = gpus / site.gpus_per_node if gpus else processors / site.cpus_per_node
    memory = "0" if share == 1 else None
    if site.memory_gib_per_node is not None:
        memory = f"{max(1, int(site.memory_gib_per_node * share))}G"
    return Job(
        recipe=stage.name,
        arguments=stage.arguments,
        run_dir=job_folder(run_dir, stage).absolute(),
        folder=Path.cwd(),
        time=time or site.time,
        nodes=1,
        gpus=gpus,
        cpus=processors,
        memory=memory,
        slurm_dir=example_sites().parent,
        python=site.python or (sys.executable if site.container == "none" else "python3"),
        site=site,
        command=stage.command,
    )


def _sft_violations(stage: Stage, trainer: "DictConfig", site: Site) -> Iterator[str]:
    if trainer.nnodes != 1:
        yield f"stage {stage.name}: trainer.nnodes is {trainer.nnodes}, and `medu1 sft` is on one node; set it to 1."
    if trainer.device != "cpu" and site.gpu is None:
        yield f"stage {stage.name}: trainer.device is {trainer.device!r}, and the site has no GPU; use sft_machine=cpu."
    elif trainer.device != "cpu" and trainer.n_gpus_per_node > site.gpus_per_node:
        yield (
            f"stage {stage.name}: trainer.n_gpus_per_node is {trainer.n_gpus_per_node}, and a node of the site has "
            f"{site.gpus_per_node} GPUs; lower it."
        )
