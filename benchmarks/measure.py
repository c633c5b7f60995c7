"""Wall time and peak memory of a command, for the benchmarks beside this file and by itself.

python benchmarks/measure.py LOG make quickstart
"""

import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import psutil
import typer

GIB = 2**30


@dataclass(frozen=True)
class Measured:
    """One run of a command: exit code, wall time, and the machine's memory in use at its peak, less that before it."""

    returncode: int
    seconds: float
    peak_gib: float


def measure(
    command: Sequence[str], log: str, interval_s: float = 0.5, environment: Mapping[str, str] | None = None
) -> Measured:
    """Run a command, its output appended to the file `log`.

    Memory is what the machine can't give to anybody else (psutil's total - available), so that pages shared between
    Ray, vLLM and the workers count once. Other programs of the machine count too: run it on an idle one.
    """

    def used() -> int:
        memory = psutil.virtual_memory()
        return memory.total - memory.available

    idle = peak = used()
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(interval_s):
            peak = max(peak, used())

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.monotonic()
    try:
        with open(log, "a") as file:
            returncode = subprocess.run(command, stdout=file, stderr=file, env=environment).returncode
    finally:
        ended.set()
        watcher.join()
    return Measured(returncode, time.monotonic() - started, (peak - idle) / GIB)


def measure_or_exit(command: Sequence[str], log: str) -> Measured:
    """`measure`, which ends this program with a sentence where the command fails."""
    measured = measure(command, log)
    if measured.returncode:
        raise SystemExit(f"{' '.join(command[1:4])} ... ended with exit code {measured.returncode}; see {log}.")
    return measured


def seconds_between_logs(folder: Path) -> list[float]:
    """Seconds from one log entry of a training to the next: a step with all that lies between two of them.

    Args:
        folder: the run's TensorBoard files.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    ends = [event.wall_time for event in events.Scalars("training/global_step")]
    return [end - start for start, end in pairwise(ends)]


def main(
    log: Annotated[Path, typer.Argument(help="File to which the command's output is appended.")],
    command: Annotated[list[str], typer.Argument(help="Command to run and measure.")],
) -> None:
    """Run a command and print its seconds and the machine's peak memory."""
    measured = measure(command, str(log))
    typer.echo(
        f"{measured.seconds:.0f} seconds, {measured.peak_gib:.1f} GiB at its peak, exit code {measured.returncode}"
    )
    raise typer.Exit(measured.returncode)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command(context_settings={"ignore_unknown_options": True})(main)
    app()
