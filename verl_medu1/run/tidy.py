"""Cleanup after a run, however it ended: its processes, its shared memory and its temporary folder."""

import argparse
import ctypes
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from verl_medu1.run_folder.names import RAY_LOGS

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
SHARED_MEMORY = Path("/dev/shm")
# Names that multiprocessing and verl use in shared memory; the part behind the prefix is random.
_NAMES = ("sem.mp-*", "psm_*", "verl_weights_*")


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies, so that `end_descendants` finds it."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_descendants(patience_s: float = 1.0, limit_s: float = 20.0) -> int:
    """End all descendants of this process and wait until they are gone.

    Each gets SIGTERM and, `patience_s` later, SIGKILL, because the processes of `multiprocessing` ignore SIGTERM. A
    process started meanwhile becomes a child of this one when its parent dies, and the next pass of the loop finds it.
    The resource trackers of `multiprocessing` come last: when the last process that uses one is gone, the tracker
    removes their shared memory and ends. A tracker killed before that leaks it, for example 512 MB of a weight sync.

    Args:
        patience_s: seconds between the two signals, and until a resource tracker without processes is killed.
        limit_s: seconds after which to give up; a process in uninterruptible sleep can't be ended.

    Returns:
        How many processes were left.
    """
    started = time.monotonic()
    tracked_until = started
    told: set[psutil.Process] = set()
    while left := _descendants():
        now = time.monotonic()
        if now - started > limit_s:
            break
        if others := [process for process in left if not _is_resource_tracker(process)]:
            tracked_until = now
        for process in others or left:
            with suppress(psutil.NoSuchProcess):
                if others and process not in told:
                    told.add(process)
                    process.terminate()
                elif now - (started if others else tracked_until) > patience_s:
                    process.kill()
        time.sleep(0.05)
    return len(left)


def _is_resource_tracker(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return any("multiprocessing.resource_tracker" in argument for argument in process.cmdline())
    return False


def _descendants() -> list[psutil.Process]:
    """Reap the children of this process that have ended, and return all its remaining descendants."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return psutil.Process().children(recursive=True)


def clear_shared_memory(since: float | None = None) -> None:
    """Remove the shared memory and the semaphores that the processes of a run have left behind.

    The resource trackers of `multiprocessing` do so unless they are killed first: when one of their processes dies, Ray
    and vLLM kill its children. A file is removed if `multiprocessing` or verl named it, it belongs to this user, it was
    made after `since`, and no process uses it.

    Args:
        since: when the run began, in seconds since the epoch; by default, when this process began.
    """
    begun = psutil.Process().create_time() if since is None else since
    left = set()
    for name in _NAMES:
        for path in SHARED_MEMORY.glob(name):
            with suppress(OSError):
                found = path.stat()
                if found.st_uid == os.getuid() and found.st_ctime >= begun:
                    left.add(str(path))
    for file in left - (_in_use() if left else set()):
        with suppress(OSError):
            os.unlink(file)


def _in_use() -> set[str]:
    """Return the files that any process has mapped or open, as far as this user may inspect the processes."""
    used: set[str] = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            used |= {line.split(maxsplit=5)[-1] for line in (process / "maps").read_text(errors="replace").splitlines()}
        with suppress(OSError):
            used |= {os.readlink(descriptor) for descriptor in (process / "fd").iterdir()}
    return used


def clear_temporary(temporary: Path, keep_logs_in: Path | None, say: Callable[[str], None]) -> None:
    """Remove a run's temporary folder.

    Args:
        temporary: the folder.
        keep_logs_in: folder in whose `ray_logs` the logs of Ray's processes are kept; None to keep none.
        say: tells the user where the logs are.
    """
    if keep_logs_in and (logs := next(temporary.glob("session_2*/logs"), None)):
        kept = keep_logs_in / RAY_LOGS
        shutil.rmtree(kept, ignore_errors=True)
        try:
            shutil.copytree(logs, kept, ignore=lambda folder, names: [n for n in names if Path(folder, n).is_socket()])
        except OSError as error:  # for example if the run ended because its disk is full
            say(f"medu1: not all logs of the run's processes could be kept in {kept}: {error}")
        else:
            say(f"medu1: the logs of the run's processes are in {kept}")
    shutil.rmtree(temporary, ignore_errors=True)


def main() -> None:
    """Clear shared memory on a node of a job (slurm/lib/cleanup.sh)."""
    parser = argparse.ArgumentParser(description=str(main.__doc__).splitlines()[0])
    parser.add_argument("--since", type=float, required=True, help="seconds since the epoch")
    clear_shared_memory(parser.parse_args().since)


if __name__ == "__main__":
    main()
