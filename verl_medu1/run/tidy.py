"""What is done when a run has ended in any way: its processes end, its shared memory and its temporary folder go."""

import argparse
import ctypes
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
SHARED_MEMORY = Path("/dev/shm")
# Names in shared memory that multiprocessing and verl give; the rest of each is random.
_NAMES = ("sem.mp-*", "psm_*", "verl_weights_*")


def adopt_orphans() -> None:
    """Make this process the parent of each descendant whose own parent dies, so that `end_descendants` finds it."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_descendants(patience_s: float = 1.0, limit_s: float = 20.0) -> int:
    """End all processes that this one has started, directly or not, and wait until they are gone.

    Each is sent SIGTERM and, `patience_s` later, SIGKILL: what `multiprocessing` starts ignores the former. A process
    that one of them starts meanwhile becomes a child of this one when its parent dies, and is found by the next look.
    The resource trackers of `multiprocessing` come last: each removes the shared memory of the processes that it serves
    when the last of them is gone, and ends. One that is killed before leaves it, 512 MB of a weight sync for example.

    Args:
        patience_s: seconds between the two signals, and until a resource tracker without processes is killed.
        limit_s: seconds after which what is left is given up; a process that the kernel holds can't be ended.

    Returns:
        How many were given up.
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
    """All that this process has, after it has reaped those of its children that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return psutil.Process().children(recursive=True)


def clear_shared_memory(since: float | None = None) -> None:
    """Remove the shared memory and the semaphores that processes of a run have left.

    The resource trackers of `multiprocessing` do so, unless they are killed first: Ray and vLLM kill the children of a
    process of theirs that has died. Removed is what has a name of `multiprocessing`'s or verl's, belongs to this user,
    was made after `since`, and is used by no process.

    Args:
        since: when the run began, in seconds since the epoch; when this process began by default.
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
    """Files that a process has mapped or open, of the processes that this user may look into."""
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
        keep_logs_in: the logs of Ray's processes are copied to its `ray_logs` before; None for no copy.
        say: tells the user where they are.
    """
    if keep_logs_in and (logs := next(temporary.glob("session_2*/logs"), None)):
        kept = keep_logs_in / "ray_logs"
        shutil.rmtree(kept, ignore_errors=True)
        try:
            shutil.copytree(logs, kept, ignore=lambda folder, names: [n for n in names if Path(folder, n).is_socket()])
        except OSError as error:  # a run that ends because its disk is full
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
