"""Computes what a recipe needs from a site, and writes the job file."""

import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from verl_medu1.cluster.site import NO_TIME, SAFE, TIME, Site, example_sites
from verl_medu1.exit import raise_all
from verl_medu1.machine.processors import asked_processors, processor_violation, workers_per_node
from verl_medu1.plan.judge_server import JudgeServer, server_violations
from verl_medu1.plan.settings import KEYS, Settings
from verl_medu1.run_folder.names import JOB_OUTPUT

if TYPE_CHECKING:
    from omegaconf import DictConfig

TEMPLATE = "job.sbatch.j2"


@dataclass(frozen=True)
class Job:
    """A run on a cluster.

    Attributes:
        recipe: name of the recipe.
        arguments: of `medu1 train`, without run_dir.
        run_dir: folder of the run.
        folder: working directory of the job, to which relative paths of data and model refer.
        time: time limit in sbatch's format.
        nodes: number of nodes.
        gpus: GPUs per node, those of a judge included; 0 if the machine is cpu.
        cpus: CPUs per node.
        memory: `--mem` per node; None leaves it to the cluster.
        slurm_dir: folder of job.sh.
        python: the interpreter, in the container if there is one.
        site: the cluster.
        judge: the judge on the job's own nodes, which has some of the GPUs; None for none.
        command: the command of medu1 that the node runs in place of `medu1 train`; None for a training.
    """

    recipe: str
    arguments: tuple[str, ...]
    run_dir: Path
    folder: Path
    time: str
    nodes: int
    gpus: int
    cpus: int
    memory: str | None
    slurm_dir: Path
    python: str
    site: Site
    judge: JudgeServer | None = None
    command: str | None = None

    @property
    def options(self) -> list[str]:
        """The #SBATCH options, in order."""
        site = self.site
        gpu = f"{site.gpu_type}:{self.gpus}" if site.gpu_type else str(self.gpus)
        gpu_option = f"--gres=gpu:{gpu}" if site.gpu_option == "gres" else f"--gpus-per-node={gpu}"
        named = {"account": site.account, "partition": site.partition, "qos": site.qos}
        return [
            f"--job-name={self.recipe}",
            *(f"--{name}={value}" for name, value in named.items() if value is not None),
            f"--nodes={self.nodes}",
            "--ntasks-per-node=1",
            f"--cpus-per-task={self.cpus}",
            *([gpu_option] if self.gpus else []),
            *([f"--mem={self.memory}"] if self.memory else []),
            f"--time={self.time}",
            f"--signal=B:USR1@{site.signal_s}",
            "--requeue" if site.max_requeues else "--no-requeue",
            "--open-mode=append",
            f"--chdir={self.folder}",
            f"--output={self.run_dir}/{JOB_OUTPUT}",
            *site.sbatch,
        ]

    @property
    def variables(self) -> dict[str, str]:
        """The environment that job.sh reads."""
        site = self.site
        variables = {
            "MEDU1_SLURM_DIR": str(self.slurm_dir),
            "MEDU1_PYTHON": self.python,
            "MEDU1_RUN_DIR": str(self.run_dir),
            "MEDU1_CONTAINER": site.container,
            "MEDU1_SCRATCH": site.scratch,
            "MEDU1_MAX_REQUEUES": str(site.max_requeues),
            "MEDU1_NODE_TIMEOUT_S": str(site.node_timeout_s),
        }
        if site.container != "none":
            variables["MEDU1_IMAGE"] = str(site.image)
            variables["MEDU1_MOUNTS"] = ",".join(site.mounts)
        if site.container == "pyxis" and site.environment:
            variables["MEDU1_FORWARD"] = ",".join(site.environment)
        if site.modules:
            variables["MEDU1_MODULES"] = " ".join(site.modules)
        if site.interface:
            variables["MEDU1_INTERFACE"] = site.interface
        if site.offline:
            variables["MEDU1_OFFLINE"] = "1"
        if self.judge is not None:
            variables |= self.judge.variables
        if self.command is not None:
            variables["MEDU1_COMMAND"] = self.command
        return variables | site.environment


def job_of(
    config: "DictConfig",
    settings: Settings,
    overrides: Sequence[str],
    site: Site,
    time: str | None = None,
    folder: Path | None = None,
    python: str = sys.executable,
    slurm_dir: Path | None = None,
    judge: JudgeServer | None = None,
) -> Job:
    """Return the job of a recipe at a site.

    Nodes and GPUs are the recipe's, and those of a judge come on top. CPUs and memory are in proportion to the GPUs
    that the job uses of a node, with at least as many CPUs as its actors need. Without GPUs, there is one CPU for each
    thread of its workers.

    Args:
        config: composed configuration of the run.
        settings: those in `config`.
        overrides: as the user gave them.
        site: the cluster.
        time: a time limit instead of the site's.
        folder: the user's working directory; None is the current one.
        python: the interpreter outside a container.
        slurm_dir: folder of job.sh; None is the installed one.
        judge: the judge that the job serves on its nodes.

    Raises:
        ValueError: one sentence for each thing that the site does not have or that a job file can't express.
    """
    recipe = next((value for key, _, value in (o.partition("=") for o in overrides) if key == "recipe"), None)
    if not recipe:
        raise ValueError("no recipe is given: add recipe=NAME (docs/recipes.md lists them).")
    folder = (folder or Path.cwd()).absolute()
    run_dir = (folder / Path(config.run_dir).expanduser()).absolute()
    time = time or site.time
    raise_all(
        [
            *_violations(settings, site, time, folder, run_dir, overrides),
            *server_violations(judge, settings, site.gpus_per_node, "a node of the site"),
        ]
    )
    gpus = 0 if settings.device == "cpu" else workers_per_node(config) + (judge.gpus if judge else 0)
    if gpus > site.gpus_per_node:
        raise ValueError(
            f"trainer.n_gpus_per_node is {settings.gpus_per_node}, and with reward.reward_model.n_gpus_per_node a node "
            f"needs {gpus} GPUs, of which a node of the site has {site.gpus_per_node}; lower one of them."
        )
    cpus = _threads(settings)
    if gpus:
        cpus = max(site.cpus_per_node * gpus // site.gpus_per_node, asked_processors(config))
        if sentence := processor_violation(config, site.cpus_per_node, "a node of the site"):
            raise ValueError(sentence)
        cpus = min(cpus, site.cpus_per_node)
    share = gpus / site.gpus_per_node if gpus else cpus / site.cpus_per_node
    memory = "0" if share == 1 else None
    if site.memory_gib_per_node is not None:
        memory = f"{max(1, int(site.memory_gib_per_node * share))}G"
    return Job(
        recipe=recipe,
        arguments=tuple(override for override in overrides if not override.startswith("run_dir=")),
        run_dir=run_dir,
        folder=folder,
        time=time,
        nodes=settings.nodes,
        gpus=gpus,
        cpus=cpus,
        memory=memory,
        slurm_dir=slurm_dir or example_sites().parent,
        python=site.python or (python if site.container == "none" else "python3"),
        site=site,
        judge=judge,
    )


def _threads(settings: Settings) -> int:
    return settings.gpus_per_node * int(settings.environment.get("OMP_NUM_THREADS", "1"))


def _violations(
    settings: Settings, site: Site, time: str, folder: Path, run_dir: Path, overrides: Sequence[str]
) -> Iterator[str]:
    key, number = KEYS["gpus_per_node"], settings.gpus_per_node
    if settings.device != "cpu" and site.gpu is None:
        yield f"{KEYS['device']} is {settings.device!r}, and the site's gpu is null; choose a recipe for CPUs."
    elif settings.device != "cpu" and number > site.gpus_per_node:
        yield (
            f"{key} is {number}, and the site's gpus_per_node is {site.gpus_per_node}; lower it, and raise "
            f"{KEYS['nodes']}."
        )
    elif settings.device == "cpu" and _threads(settings) > site.cpus_per_node:
        yield (
            f"{key} is {number}, with {_threads(settings)} threads, and a node of the site has {site.cpus_per_node} "
            "CPUs; lower it."
        )
    if not re.fullmatch(TIME, time):
        yield f"--time is {time!r}{NO_TIME}."
    elif site.signal_s >= _seconds(time):
        yield f"--time is {time!r}, and the site's signal_s is {site.signal_s}; give more time, or lower signal_s."
    for name, path in {"run_dir": run_dir, "the current folder": folder}.items():
        # A container's mounts are separated by , and :, and Slurm gives % a meaning of its own.
        if not re.fullmatch(f"{SAFE}*", str(path)) or re.search("[$,:%]", str(path)):
            yield f"{name} is {str(path)!r}, which has a quote, a backslash or one of $ , : %; choose another name."
    for override in overrides:
        if re.search(r"[\x00\r\n]", override):
            yield f"{override!r} has a line break; leave it out."


def _seconds(time: str) -> int:
    """Convert a time limit in sbatch's format to seconds.

    Example:
        >>> [_seconds(time) for time in ("90", "10:30", "1:00:00", "1-12", "1-00:30")]
        [5400, 630, 3600, 129600, 88200]
    """
    days, dash, rest = time.rpartition("-")
    numbers = [int(part) for part in rest.split(":")]
    if dash:
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
    elif len(numbers) == 3:
        hours, minutes, seconds = numbers
    else:
        hours, (minutes, seconds) = 0, (*numbers, 0)[:2]
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


def render(job: Job) -> str:
    """Render the job file: options of sbatch, environment, and job.sh with the run's arguments, all quoted."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(example_sites().parent / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quote"] = shlex.quote
    return environment.get_template(TEMPLATE).render(
        recipe=job.recipe, options=job.options, variables=job.variables, arguments=job.arguments
    )
