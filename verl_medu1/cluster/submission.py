"""Checks and submits jobs, and asks Slurm about them (sbatch, squeue, scontrol)."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from verl_medu1.checks.run import check_submission
from verl_medu1.cluster.job import Job, render
from verl_medu1.cluster.site import Site
from verl_medu1.machine.gpus import GPU, find_gpu
from verl_medu1.machine.machine import Machine
from verl_medu1.plan.architecture import find_architecture
from verl_medu1.plan.render import override_of
from verl_medu1.plan.settings import Settings
from verl_medu1.plan.verdict import Plan, larger, plan_of, verdict_of
from verl_medu1.run_folder.attempts import SUBMITTED, jobs_of
from verl_medu1.run_folder.names import JOB_FILE

if TYPE_CHECKING:
    from omegaconf import DictConfig

JOB_LINE = re.compile(r"([0-9]+)(;[\w.-]+)?")


def has_slurm() -> bool:
    """Return whether Slurm's commands are on this machine."""
    return shutil.which("sbatch") is not None and shutil.which("squeue") is not None


def _slurm(command: Sequence[str], script: str | None = None) -> str:
    """Run one of Slurm's commands and return its output.

    Raises:
        ValueError: it is not installed or fails; the sentence quotes its output.
    """
    if shutil.which(command[0]) is None:
        raise ValueError(f"{command[0]} is not found; run this on a login node of the cluster, or show with --dry-run.")
    done = subprocess.run(command, input=script, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"{command[0]} refuses: {' '.join((done.stdout + done.stderr).split())}")
    return done.stdout + done.stderr if "--test-only" in command else done.stdout


def check_job(job: Job, config: "DictConfig") -> None:
    """Check data, model, settings and layout before anything is submitted.

    Raises:
        ValueError: one sentence for each violation.
    """
    gpu = _gpu_of(job)
    check_submission(config, Machine(capability=gpu.capability if gpu else None))
    model = str(config.actor_rollout_ref.model.path)
    if job.site.offline and (sentence := offline_violation(model, job.site)):
        raise ValueError(sentence)


def _gpu_of(job: Job) -> GPU | None:
    return find_gpu(job.site.gpu) if job.gpus and job.site.gpu else None


def plan_job(job: Job, config: "DictConfig", settings: Settings) -> Plan | None:
    """Return the plan of a run if it fits the site's GPUs; None without GPUs.

    Raises:
        NotPlanned: it is unknown whether the run fits; it may still be submitted.
        ValueError: it does not fit, with the changes that would make it fit; or as in `plan_of`.
    """
    gpu = _gpu_of(job)
    if gpu is None:
        return None
    plan = plan_of(find_architecture(str(config.actor_rollout_ref.model.path)), gpu, settings)
    verdict = verdict_of(plan)
    if verdict.word != "fits":
        changes = " ".join(override_of(key, value) for key, value in verdict.changes.items())
        way_out = f"Add {changes}" if changes else f"No change helps: {larger(plan.settings, plan.model)}"
        raise ValueError(f"the run does not fit on {gpu.name}: {' '.join(verdict.problems)} {way_out}.")
    return plan


def offline_violation(model: str, site: Site) -> str | None:
    """Return a sentence if nodes without internet can't load the model, else None.

    A path that only exists inside a container can't be checked here and is assumed to be right.
    """
    named = site.environment.get("HF_HOME") or os.environ.get("HF_HOME")  # a job inherits the submitter's environment
    home = Path(named or "~/.cache/huggingface").expanduser()
    if Path(model).expanduser().is_dir() or (site.container != "none" and not home.is_dir()):
        return None
    snapshots = home / "hub" / f"models--{model.replace('/', '--')}" / "snapshots"
    if any(snapshots.glob("*/config.json")):
        return None
    return (
        f"actor_rollout_ref.model.path is {model!r}, the site is offline, and {home} has no such model; set the site's "
        f"environment.HF_HOME and run `HF_HOME=... hf download {model}` where there is a network, or give a folder."
    )


def test_only(job: Job) -> str:
    """Return what `sbatch --test-only` says about a job: when and where it would start."""
    return _slurm(["sbatch", "--test-only"], render(job)).strip()


def submit(job: Job, after: str | None = None) -> str:
    """Write the job file into the run's folder and submit it.

    Args:
        job: the job.
        after: number of a job that must end well before this one starts; if it fails, Slurm cancels this one.

    Returns:
        The number of the job.

    Raises:
        ValueError: a job of this run is already pending or running, or sbatch fails or prints no number.
    """
    require_no_job(job.run_dir)
    job.run_dir.mkdir(parents=True, exist_ok=True)
    file = job.run_dir / JOB_FILE
    file.write_text(render(job))
    waits = [f"--dependency=afterok:{after}", "--kill-on-invalid-dep=yes"] if after else []
    number = job_number(_slurm(["sbatch", "--parsable", *waits, str(file)]))
    note(job.run_dir, number, job.recipe)
    return number


def require_no_job(run_dir: Path) -> None:
    """Raise a ValueError if a job of this run is pending or running."""
    if active := [number for number in jobs_of(run_dir) if state_of(number) is not None]:
        raise ValueError(
            f"run_dir is {str(run_dir)!r}, and job {active[0]} works there already; `scancel {active[0]}`, or "
            "choose another run_dir."
        )


def note(run_dir: Path, number: str, recipe: str) -> None:
    """Record in a run's folder that a job was submitted for it."""
    line = json.dumps({"job": number, "submitted": time.time(), "recipe": recipe})
    with (run_dir / SUBMITTED).open("a+", errors="replace") as lines:
        lines.seek(0)
        # If the last line was cut off, start a new one.
        is_whole = lines.read()[-1:] in ("", "\n")
        lines.write(("" if is_whole else "\n") + line + "\n")


def job_number(printed: str) -> str:
    """Find the job number in the output of `sbatch --parsable`: a line `number` or `number;cluster`, maybe in a banner.

    Raises:
        ValueError: no line has such a number, or several have.

    Example:
        >>> job_number("Welcome!\\n4711;stampede3\\n")
        '4711'
    """
    found = [match[1] for line in printed.splitlines() if (match := JOB_LINE.fullmatch(line.strip()))]
    if len(found) != 1:
        raise ValueError(
            f"sbatch printed {' '.join(printed.split())[:300]!r}, which has not exactly one line with a job's number; "
            "look with `squeue --me` whether the job is there before you submit again."
        )
    return found[0]


def state_of(job: str) -> str | None:
    """Return the state of a pending or running job, such as PENDING; None if Slurm has forgotten it or is missing.

    Raises:
        ValueError: squeue fails.
    """
    if not has_slurm():
        return None
    done = subprocess.run(["squeue", "--noheader", "--job", job, "--format=%T (%r)"], capture_output=True, text=True)
    if done.returncode and "Invalid job id" not in done.stderr:
        raise ValueError(f"squeue refuses: {' '.join(done.stderr.split())}")
    return done.stdout.strip() or None


def run_dir_of(job: str) -> Path | None:
    """Return the folder of a job's run, taken from its output file, while Slurm remembers the job."""
    if not has_slurm():
        return None
    done = subprocess.run(["scontrol", "show", "job", job], capture_output=True, text=True)
    found = re.search(r"^ *StdOut=(.*)$", done.stdout, re.M)
    return Path(found[1]).parent if found and done.returncode == 0 else None
