"""What tidies up when the driver of a run is killed itself: a process that waits for its end.

`supervise` starts it, and ends it together with the run's other processes when the run ends in any other way.
"""

import os
import select
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from verl_medu1.checkpoints import way_on

LOOK_INTERVAL_S = 5.0


def start_guard(temporary: Path, run_dir: Path, checkpoints: Path) -> None:
    """Start the guard of this process: should it be killed, what it has started ends and `temporary` is removed."""
    arguments = [str(os.getpid()), str(temporary), str(run_dir), str(checkpoints)]
    # A session of its own: what is sent to the run's process group does not reach it.
    subprocess.Popen([sys.executable, "-m", "verl_medu1.guard", *arguments], start_new_session=True)


def clear_temporary(temporary: Path, run_dir: Path, keep_logs: bool) -> None:
    """Remove a run's temporary folder; `keep_logs` puts the logs of Ray's processes into `run_dir/ray_logs` before."""
    if keep_logs and (logs := next(temporary.glob("session_2*/logs"), None)):
        kept = run_dir / "ray_logs"
        shutil.rmtree(kept, ignore_errors=True)
        try:
            shutil.copytree(logs, kept, ignore=lambda folder, names: [n for n in names if Path(folder, n).is_socket()])
        except OSError as error:  # a run that ends because its disk is full
            print(f"medu1: not all logs of the run's processes could be kept in {kept}: {error}", file=sys.stderr)
        else:
            print(f"medu1: the logs of the run's processes are in {kept}", file=sys.stderr)
    shutil.rmtree(temporary, ignore_errors=True)


def _descendants(driver: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return [process for process in psutil.Process(driver).children(recursive=True) if process.pid != os.getpid()]
    return []


def main(driver: int, temporary: Path, run_dir: Path, checkpoints: Path) -> None:
    """Wait for the driver's end, say that it died, and end and remove what it left.

    A process's parent can't be asked for once it is dead, so that its descendants are noted while it lives; those
    started later are children of Ray's raylet, and end with it.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # scancel sends them to every process of a job
        signal.signal(number, signal.SIG_IGN)
    descendants = _descendants(driver)
    with suppress(ProcessLookupError):  # it is dead already, and its own parent knows
        end = os.pidfd_open(driver)
        while not select.select([end], [], [], LOOK_INTERVAL_S)[0]:
            descendants = _descendants(driver) or descendants
    print(f"medu1: driver (process {driver}) died, killed or crashed; {way_on(checkpoints)}.", file=sys.stderr)
    for process in descendants:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(descendants, timeout=10.0)
    clear_temporary(temporary, run_dir, keep_logs=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), *map(Path, sys.argv[2:]))
