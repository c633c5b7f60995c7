"""Kill a random part of a run at a random moment, again and again: is anything left, and does the next start go on?

Each start of one small run continues from where the last one was killed, so that a kill costs one start. A part is
drawn (driver, keeper, Ray's processes, workers, servers, engines), then the moment: a third of them while the run
starts, the others in its steps. After each kill, within 20 seconds, no process, listening port, temporary folder or
shared memory of the run may be left; and the next start must continue from the newest whole checkpoint. Prints a row
for each kill.
"""

import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from verl_medu1.run_folder.checkpoints import newest_step
from verl_medu1.run_folder.progress import FILE_NAME, Progress

MEDU1 = [sys.executable, "-m", "verl_medu1.cli.app"]
# What is killed -> how its process is told from the others: by name, or for the first two by its place.
PARTS = {
    "keeper": "",
    "driver": "",
    "raylet": "raylet",
    "gcs_server": "gcs_server",
    "trainer": "ray::TaskRunner",
    "actor worker": "ray::WorkerDict",
    "vLLM server": "ray::vLLMHttpServer",
    "vLLM engine": "VLLM::",
    "reward worker": "ray::RewardLoop",
    "agent loop worker": "ray::AgentLoop",
    "TransferQueue": "ray::TransferQueue",
}
SECONDS = 20.0
LONGEST_START = 300.0
# Where the moment lies, in seconds: after the command, or after the first rollout has begun.
WHILE_STARTING, IN_STEPS = 30.0, 15.0


@dataclass(frozen=True)
class Kill:
    """What came of one.

    Attributes:
        part: what was killed; with the moment's phase and step.
        seconds: until nothing was left; None if something was after `SECONDS`.
        left: what that was.
        resumed: the step that the start went on from; None if it was killed before its first rollout.
        expected: that of the checkpoint that was there.
    """

    part: str
    phase: str
    seconds: float | None
    left: list[str]
    resumed: int | None
    expected: int

    @property
    def held(self) -> bool:
        return self.seconds is not None and self.resumed in (None, self.expected)

    @property
    def row(self) -> str:
        """Its cells of the table."""
        seconds = "more than 20" if self.seconds is None else f"{self.seconds:.1f}"
        began = "not yet" if self.resumed is None else f"{self.resumed + 1} after {self.expected}"
        return f"| {self.part} | {self.phase} | {seconds} | {began} | {'yes' if self.held else 'NO'}"


class Run:
    """A small run of the quickstart's recipe that is started as often as it takes."""

    def __init__(self, folder: Path) -> None:
        self.run_dir, self.temporary = folder / "run", folder / "t"
        self.temporary.mkdir()
        self._started = 0.0
        self._command = [
            *(*MEDU1, "train", "recipe=quickstart", f"run_dir={self.run_dir}"),
            f"data.train_files={folder}/data/train.parquet",
            f"data.val_files={folder}/data/test.parquet",
            f"actor_rollout_ref.model.path={folder}/model",
            *("data.train_batch_size=4", "data.max_response_length=32", "actor_rollout_ref.rollout.n=4"),
            *("actor_rollout_ref.actor.ppo_mini_batch_size=4", "trainer.save_freq=1"),
            "trainer.total_training_steps=100000",
        ]
        for arguments in (
            ["prepare", "--source", "quickstart", "--train", "64", "--warmup", "256", "--out", folder / "data"],
            ["model", "tiny", "--data", folder / "data", "--out", folder / "model"],
        ):
            subprocess.run([*MEDU1, *map(str, arguments)], check=True, capture_output=True)

    def start(self) -> psutil.Popen:
        self._started = time.time()
        with (self.run_dir.parent / "output").open("a") as file:
            environment = os.environ | {"TMPDIR": str(self.temporary), "MEDU1_KILLS": str(self.run_dir)}
            return psutil.Popen(self._command, stdout=file, stderr=file, env=environment)

    @property
    def saved(self) -> int:
        return newest_step(self.run_dir / "checkpoints") or 0

    def phase(self) -> str:
        last = self.last()
        return f"{last['phase']} of step {last['step']}" if last else "before"

    def last(self) -> dict[str, Any]:
        """The last report of this start; empty before its first, when that of the start before is still there."""
        if not (self.run_dir / FILE_NAME).exists():
            return {}
        last = Progress(self.run_dir).read()
        return last if last["time"] > self._started else {}

    def processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if process.environ().get("MEDU1_KILLS") == str(self.run_dir) and process.status() != "zombie":
                    found.append(process)
        return found

    def end(self) -> None:
        """Remove what is left of it, so that it is not held against the next kill."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for folder in self.temporary.glob("medu1-*"):
            shutil.rmtree(folder, ignore_errors=True)

    def left(self, shared_before: set[str]) -> list[str]:
        """Processes (and with them their ports), temporary folders, and files of shared memory that were not there."""
        processes = []
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):  # a zombie is one, too
                processes.append(f"process {process.pid} {' '.join(process.cmdline())[:120]}")
        folders = [str(path) for path in self.temporary.glob("medu1-*")]
        return [*processes, *folders, *sorted(unused(shared() - shared_before))]


def shared() -> set[str]:
    """Files of shared memory."""
    return {str(path) for path in Path("/dev/shm").iterdir()}


def unused(files: set[str]) -> set[str]:
    """Of files of shared memory, those that no process has mapped or open: others may work on this machine, too."""
    if not files:
        return files
    used = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            used |= {line.split(maxsplit=5)[-1] for line in (process / "maps").read_text().splitlines()}
            used |= {os.readlink(descriptor) for descriptor in (process / "fd").iterdir()}
    return files - used


def find(part: str, keeper: psutil.Popen, rng: random.Random) -> psutil.Process | None:
    """A process of the part; None while there is none."""
    with suppress(psutil.NoSuchProcess, IndexError):
        if part == "keeper":
            return psutil.Process(keeper.pid)
        if part == "driver":
            return keeper.children()[0]
        return rng.choice([each for each in keeper.children(recursive=True) if each.name().startswith(PARTS[part])])
    return None


def kill_once(run: Run, rng: random.Random) -> Kill:
    """Start the run, wait for a random moment, kill a random part and look at what is left."""
    part, starting = rng.choice(list(PARTS)), rng.random() < 1 / 3
    delay = rng.uniform(0.0, WHILE_STARTING if starting else IN_STEPS)
    shared_before, expected, resumed = shared(), run.saved, None
    keeper = run.start()
    due = time.monotonic() + delay if starting else math.inf
    deadline = time.monotonic() + LONGEST_START
    victim = None
    while keeper.poll() is None and time.monotonic() < deadline:
        last = run.last()
        if resumed is None and last.get("phase") == "rollout":
            resumed = int(last["step"]) - 1
            due = min(due, time.monotonic() + delay)
        if time.monotonic() >= due and (victim := find(part, keeper, rng)):
            break
        time.sleep(0.05)
    if victim is None:
        raise SystemExit(f"{part} never started, see {run.run_dir.parent}.")
    phase = run.phase()
    with suppress(psutil.NoSuchProcess):
        victim.send_signal(signal.SIGKILL)
    killed = time.monotonic()
    left = run.left(shared_before)
    while left and time.monotonic() - killed < SECONDS:
        keeper.poll()
        time.sleep(0.1)
        left = run.left(shared_before)
    seconds = None if left else time.monotonic() - killed
    run.end()
    keeper.wait()
    return Kill(part, phase, seconds, left, resumed, expected)


def main(
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="Number of kills.")] = 6,
    seed: Annotated[int, typer.Option(help="Seed for the parts and the moments.")] = 0,
) -> None:
    """Kill parts of a run; exit code 1 unless each kill left nothing and was continued from."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that the run is ended
    rng = random.Random(seed)
    folder = Path(tempfile.mkdtemp(prefix="k", dir="/tmp"))
    print(f"seed {seed}, {number} kills, folder {folder}")
    print("| kill | part | in | seconds until nothing is left | began with step | held |\n|---|---|---|---|---|---|")
    run, held, times = Run(folder), 0, []
    try:
        for turn in range(1, number + 1):
            kill = kill_once(run, rng)
            held += kill.held
            times += [kill.seconds] if kill.seconds is not None else []
            print(f"| {turn} {kill.row} |", flush=True)
            for line in kill.left:
                print(f"left: {line}", flush=True)
    finally:
        run.end()
    if times:
        print(f"seconds: median {sorted(times)[len(times) // 2]:.1f}, longest {max(times):.1f}")
    print(f"{held} of {number} held")
    if held < number:
        raise SystemExit(1)
    shutil.rmtree(folder)


if __name__ == "__main__":
    typer.run(main)
