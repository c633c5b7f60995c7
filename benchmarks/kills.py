"""Kill a random part of a run at a random moment, again and again: is anything left, and does the next start go on?

Each start of one small run continues from where the last one was killed, so that a kill costs one start. A part is
drawn (driver, keeper, Ray's processes, workers, servers, engines), then the moment, from the first second to some steps
later. After each kill, within 20 seconds, no process, listening port, temporary folder or shared memory of the run may
be left; and the next start must continue from the newest whole checkpoint. Prints a row for each kill.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import psutil
import typer

from verl_medu1.checkpoints import newest_step
from verl_medu1.progress import FILE_NAME, Progress
from verl_medu1.run.channel import LOG

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


@dataclass(frozen=True)
class Kill:
    """What came of one.

    Attributes:
        part: what was killed; with the moment's phase and step.
        seconds: until nothing was left; None if something was after `SECONDS`.
        left: what that was.
        resumed: the step that the start began with, and `expected`, that of the checkpoint that was there.
    """

    part: str
    phase: str
    seconds: float | None
    left: list[str]
    resumed: int
    expected: int

    @property
    def held(self) -> bool:
        return self.seconds is not None and self.resumed == self.expected


class Run:
    """A small run of the quickstart's recipe that is started as often as it takes."""

    def __init__(self, folder: Path) -> None:
        self.run_dir, self.temporary = folder / "run", folder / "t"
        self.temporary.mkdir()
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
        with (self.run_dir.parent / "output").open("a") as file:
            environment = os.environ | {"TMPDIR": str(self.temporary), "MEDU1_KILLS": str(self.run_dir)}
            return psutil.Popen(self._command, stdout=file, stderr=file, env=environment)

    @property
    def saved(self) -> int:
        return newest_step(self.run_dir / "checkpoints") or 0

    def phase(self) -> str:
        if not (self.run_dir / FILE_NAME).exists():
            return "before"
        last = Progress(self.run_dir).read()
        return f"{last['phase']} of step {last['step']}"

    def processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if process.environ().get("MEDU1_KILLS") == str(self.run_dir) and process.status() != "zombie":
                    found.append(process)
        return found

    def left(self, shared_before: set[str]) -> list[str]:
        """Processes (and with them their ports), temporary folders, and files of shared memory that were not there."""
        processes = [f"process {process.pid} {' '.join(process.cmdline())[:120]}" for process in self.processes()]
        folders = [str(path) for path in self.temporary.glob("medu1-*")]
        return [*processes, *folders, *sorted(shared() - shared_before)]


def shared() -> set[str]:
    """Files of shared memory."""
    return {str(path) for path in Path("/dev/shm").iterdir()}


def find(part: str, keeper: psutil.Popen, rng: random.Random) -> psutil.Process | None:
    """A process of the part; None while there is none."""
    with suppress(psutil.NoSuchProcess, IndexError):
        if part == "keeper":
            return psutil.Process(keeper.pid)
        if part == "driver":
            return keeper.children()[0]
        return rng.choice([each for each in keeper.children(recursive=True) if each.name().startswith(PARTS[part])])
    return None


def resumed_from(log: Path, offset: int) -> int:
    """The step that verl says it resumes from, in what was logged since `offset`; 0 for none."""
    found = re.findall(r"Resuming from \S*global_step_(\d+)", log.read_bytes()[offset:].decode(errors="replace"))
    return int(found[-1]) if found else 0


def kill_once(run: Run, rng: random.Random, longest_s: float) -> Kill:
    """Start the run, wait for a random moment, kill a random part and look at what is left."""
    part, delay = rng.choice(list(PARTS)), rng.uniform(0.0, longest_s)
    log, shared_before = run.run_dir / LOG, shared()
    offset, expected = (log.stat().st_size if log.exists() else 0), run.saved
    keeper = run.start()
    due, deadline = time.monotonic() + delay, time.monotonic() + LONGEST_START
    while time.monotonic() < due:
        time.sleep(0.01)
    while not (victim := find(part, keeper, rng)) and keeper.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    if victim is None:
        raise SystemExit(f"{part} never started; see {log}.")
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
    for process in run.processes():  # so that the next start is not disturbed
        with suppress(psutil.NoSuchProcess):
            process.kill()
    keeper.wait()
    said = resumed_from(log, offset) if log.exists() else 0
    # A start that was killed before it could load a checkpoint says nothing of it.
    loaded = phase != "before" and not phase.startswith("start ")
    return Kill(part, phase, seconds, left, said if loaded else expected, expected)


def main(
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many kills.")] = 6,
    seed: Annotated[int, typer.Option(help="Of the parts and moments.")] = 0,
    longest: Annotated[float, typer.Option(help="The latest moment, in seconds after the start.")] = 90.0,
) -> None:
    """Kill parts of a run; exit code 1 unless each kill left nothing and was continued from."""
    rng = random.Random(seed)
    folder = Path(tempfile.mkdtemp(prefix="k", dir="/tmp"))
    print(f"seed {seed}, {number} kills, folder {folder}")
    print("| kill | part | in | seconds until nothing is left | began with step | held |\n|---|---|---|---|---|---|")
    run, held, times = Run(folder), 0, []
    for turn in range(1, number + 1):
        kill = kill_once(run, rng, longest)
        held += kill.held
        times += [kill.seconds] if kill.seconds is not None else []
        shown = "more than 20" if kill.seconds is None else f"{kill.seconds:.1f}"
        began = f"{kill.resumed} of {kill.expected}"
        print(
            f"| {turn} | {kill.part} | {kill.phase} | {shown} | {began} | {'yes' if kill.held else 'NO'} |", flush=True
        )
        for line in kill.left:
            print(f"left: {line}", flush=True)
    print(f"{held} of {number} held; seconds: median {sorted(times)[len(times) // 2]:.1f}, longest {max(times):.1f}")
    if held < number:
        raise SystemExit(1)
    shutil.rmtree(folder)


if __name__ == "__main__":
    typer.run(main)
