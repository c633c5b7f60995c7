"""Where the start of a training goes: its processes and phases, until its first step is done.

    python benchmarks/startup.py --model MODEL --data DATA [--out outputs/startup] [fork_workers=false] [key=value ...]

MODEL is a quickstart's warmed-up model, such as outputs/quickstart/warmup/checkpoints/global_step_375/huggingface, and
DATA its folder of questions, outputs/quickstart/data. Trains for two steps and prints Markdown tables. Where other
programs use the processors, the seconds of CPU say more than those of the clock.
"""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Annotated

import psutil
import typer

from verl_medu1.cpu.faster import fork_client, fork_server
from verl_medu1.run_folder.progress import Progress

# What a process is for, by what its title or its command line contains; the first that fits.
PURPOSES = {
    "TaskRunner": "trainer",
    "WorkerDict": "actor worker",
    "vLLMHttpServer": "vLLM server",
    "VLLM::": "vLLM engine",
    "AgentLoopWorker": "agent loop worker",
    "RewardLoopWorker": "reward worker",
    "GlobalRequestLoadBalancer": "verl: spreads questions over vLLM servers",
    "StorageUnit": "TransferQueue storage unit",
    "TransferQueueController": "TransferQueue controller",
    "ray::": "Ray: other workers and agents",
    "verl_medu1.cli.app": "keeper",
    "verl_medu1.run.train": "driver",
    "multiprocessing.resource_tracker": "Python: removes shared memory",
    "multiprocessing.spawn": "vLLM engine",
    Path(fork_client.__file__).name: "fork clients",
    "setup_worker.py": "Ray: other workers and agents",
    "default_worker.py": "Ray: other workers and agents",
    fork_server.__name__: "fork server",
    "dashboard": "Ray: dashboard and its agent",
    "monitor.py": "Ray: monitors",
    "gcs_server": "Ray: GCS server and raylet",
    "raylet": "Ray: GCS server and raylet",
}
IDLE = "ray::IDLE"
MIB = 2**20


@dataclass
class Seen:
    """A process, with times in seconds since the start of the command.

    Attributes:
        started: when.
        titles: its titles one after the other: when it got it, and its seconds of CPU until then.
        cpu: its seconds of CPU when it was last seen.
        memory: bytes of its private pages, of pages that others map too, and PSS, after the first step.
    """

    started: float
    titles: list[tuple[float, str, float]] = field(default_factory=list)
    cpu: float = 0.0
    memory: tuple[int, int, int] = (0, 0, 0)

    @property
    def purpose(self) -> str:
        """What it was for in the end."""
        titles = [title for _, title, _ in reversed(self.titles)]
        return next((PURPOSES[text] for title in titles for text in PURPOSES if text in title), "other")

    def imported(self) -> float:
        """When a worker of Ray's knew the class of its actor; 0 for others."""
        actors = (at for at, title, _ in self.titles if title.startswith("ray::") and not title.startswith(IDLE))
        return next(actors, 0.0)

    def ready(self, before: float) -> tuple[float, float]:
        """When it last began to wait or got its title before some time, and its seconds of CPU until then."""
        waiting = ((at, cpu) for at, title, cpu in self.titles if at <= before and "." not in title)
        return max(waiting, default=(0.0, 0.0))


@dataclass
class Start:
    """What was seen of a run: its processes, and its phases as (second, step, name)."""

    processes: dict[int, Seen]
    phases: list[tuple[float, int, str]]

    def at(self, step: int, phase: str) -> float:
        """When a phase began."""
        return next(when for when, *which in self.phases if which == [step, phase])


def watch(command: list[str], run_dir: Path, log: Path, interval_s: float = 0.1) -> Start:
    """Run a training, and look at all its processes and its phase again and again."""
    start = Start({}, [])
    begun = time.time()
    with log.open("w") as file:
        root = psutil.Popen(command, stdout=file, stderr=file)
    while root.poll() is None:
        now = time.time() - begun
        with suppress(psutil.NoSuchProcess):
            for process in [root, *root.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    _look(process, start.processes, begun, now)
        with suppress(OSError, ValueError):
            last = Progress(run_dir).read()
            phase = int(last["step"]), str(last["phase"])
            if last["time"] >= begun and (not start.phases or start.phases[-1][1:] != phase):
                start.phases.append((float(last["time"]) - begun, *phase))
                if phase == (2, "rollout"):
                    for pid, each in start.processes.items():
                        with suppress(psutil.Error):
                            each.memory = _memory(pid)
        time.sleep(interval_s)
    if root.returncode:
        raise SystemExit(f"The training ended with exit code {root.returncode}; see {log}.")
    return start


def _look(process: psutil.Process, processes: dict[int, Seen], begun: float, now: float) -> None:
    each = processes.setdefault(process.pid, Seen(max(0.0, process.create_time() - begun)))
    times = process.cpu_times()
    each.cpu = max(each.cpu, times.user + times.system)
    title = " ".join(process.cmdline()).strip()
    if title and (not each.titles or each.titles[-1][1] != title):
        each.titles.append((now, title, each.cpu))


def _memory(pid: int) -> tuple[int, int, int]:
    full = psutil.Process(pid).memory_full_info()
    return full.uss, full.rss - full.uss, full.pss


def tables(start: Start) -> Iterator[str]:
    """Yield the lines of the tables: phases, and processes, in the order of their start."""
    yield from ("| phase | begins after s |", "|---|---|")
    yield from (f"| {phase}, step {step} | {when:.1f} |" for when, step, phase in start.phases)
    rollout = start.at(1, "rollout")
    heads = ("processes", "for", "started after s", "imported", "ready", "CPU s until then", "in all")
    heads += ("private MiB", "shared", "PSS")
    yield from ("", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|")
    by_purpose = sorted(start.processes.values(), key=lambda each: each.purpose)
    groups = [list(group) for _, group in groupby(by_purpose, key=lambda each: each.purpose)]
    for group in sorted(groups, key=lambda group: min(each.started for each in group)):
        yield _row(group[0].purpose, group, rollout)
    yield _row("all", by_purpose, rollout)


def _row(purpose: str, group: Iterable[Seen], rollout: float) -> str:
    group = list(group)
    imported = max(each.imported() for each in group)
    ready = [each.ready(rollout) for each in group]
    memory = [sum(each.memory[kind] for each in group) / MIB for kind in range(3)]
    cells = [
        f"{min(each.started for each in group):.1f}",
        f"{imported:.1f}" if imported else "",
        f"{max(ready)[0]:.1f}" if max(ready)[0] else "",
        f"{sum(cpu for _, cpu in ready):.1f}" if max(ready)[0] else "",
        f"{sum(each.cpu for each in group):.1f}",
        *(f"{each:,.0f}" for each in memory),
    ]
    return f"| {len(group)} | {purpose} | {' | '.join(cells)} |"


def main(
    context: typer.Context,
    model: Annotated[Path, typer.Option(help="Model folder; KEY=VALUE arguments change the recipe.")],
    data: Annotated[Path, typer.Option(help="Data folder made by `medu1 prepare`.")],
    out: Annotated[Path, typer.Option(help="Folder for the run and its log; it must not exist.")] = Path(
        "outputs/startup"
    ),
    recipe: Annotated[str, typer.Option(help="Our recipe.")] = "quickstart",
) -> None:
    """Train for two steps and print when each process started and was ready, and what it took."""
    if out.exists():
        raise SystemExit(f"--out {out} exists; choose another folder.")
    out.mkdir(parents=True)
    run = out / "run"
    keys = {
        "run_dir": run,
        "data.train_files": data / "train.parquet",
        "data.val_files": data / "test.parquet",
        "actor_rollout_ref.model.path": model,
        "trainer.total_training_steps": 2,
        "trainer.save_freq": -1,
    }
    command = [sys.executable, "-m", "verl_medu1.cli.app", "train", f"recipe={recipe}"]
    command += [f"{key}={value}" for key, value in keys.items()]
    start = watch([*command, *context.args], run, out / "log")
    (out / "seen.json").write_text(json.dumps({pid: vars(each) for pid, each in start.processes.items()}, indent=1))
    for line in tables(start):
        typer.echo(line)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(main)
    app()
