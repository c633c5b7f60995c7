"""Runs end: with their reason when they hang, and without leaving a process or a temporary file behind."""

import ctypes
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from omegaconf import DictConfig, OmegaConf, open_dict

from verl_medu1.progress import Progress

# What ray.init takes only where it starts a cluster: one that is there has been told by whoever started it.
CLUSTER_KEYS = ("num_cpus", "num_gpus", "object_store_memory", "include_dashboard", "_system_config", "_temp_dir")
START_PHASES = ("start", "first weight sync")
EXIT_STALLED = 3
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def adopt_orphans() -> None:
    """Make this process the parent of each descendant whose own parent dies, so that `end_descendants` finds it."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_descendants(patience_s: float = 10.0) -> int:
    """Kill all processes that this one has started, directly or not, and wait until they are gone.

    Ray has been shut down before, so that what still runs has missed its chance to leave by itself.

    Returns:
        How many were still running.
    """
    descendants = psutil.Process().children(recursive=True)
    for process in descendants:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(descendants, timeout=patience_s)
    return len(descendants)


def _stall(progress: Progress, timeout_s: float, start_timeout_s: float) -> str | None:
    """One sentence if the last sign of life is too old."""
    last = progress.read()
    limit, key = timeout_s, "watchdog.timeout_s"
    if last["phase"] in START_PHASES:
        limit, key = start_timeout_s, "watchdog.start_timeout_s"
    if time.time() - float(last["time"]) <= limit:
        return None
    return (
        f"no progress for {limit:.0f} s in phase '{last['phase']}' of step {last['step']}, the run is ended; "
        f"raise {key} if this phase may take longer."
    )


@contextmanager
def supervised(config: DictConfig, interval_s: float = 1.0) -> Iterator[DictConfig]:
    """Run the body under a watchdog; afterwards no process of it is left.

    Args:
        config: the run's configuration (`run_dir`, `watchdog`, `ray_kwargs`).
        interval_s: seconds between two looks at the run's progress.

    Yields:
        The configuration to train with: absolute run_dir, and a temporary folder for the sockets of Ray and
        vLLM, short because the path of a socket may have 107 characters only. Where the environment names a cluster
        (RAY_ADDRESS), that one is joined as it is.

    A stalled run ends the process with exit code 3. When the body fails, the logs of Ray's processes are kept in
    `run_dir/ray_logs`.
    """
    temporary = Path(tempfile.mkdtemp(prefix="medu1-"))
    config = config.copy()
    with open_dict(config):
        config.run_dir = os.path.abspath(config.run_dir)
        ray_init = config.ray_kwargs.ray_init
        if os.environ.get("RAY_ADDRESS"):
            # Each node of that cluster has a folder of its own, of which its processes know (slurm/node.sh).
            for key in CLUSTER_KEYS:
                ray_init.pop(key, None)
        else:
            ray_init._temp_dir = str(temporary)
            ray_init.runtime_env.env_vars.update({"TMPDIR": str(temporary), "VLLM_RPC_BASE_PATH": str(temporary)})
    OmegaConf.resolve(config)  # verl copies ray_kwargs out of the configuration, where interpolations lead nowhere
    progress = Progress(config.run_dir)
    progress.report(0, "start")
    adopt_orphans()

    def clean_up(failed: bool) -> None:
        end_descendants()
        if failed and (logs := next(temporary.glob("session_2*/logs"), None)):
            kept = Path(config.run_dir, "ray_logs")
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(logs, kept, ignore=lambda folder, names: [n for n in names if Path(folder, n).is_socket()])
            print(f"medu1: the logs of the run's processes are in {kept}", file=sys.stderr)
        shutil.rmtree(temporary, ignore_errors=True)

    finished = threading.Event()

    def watch() -> None:
        while not finished.wait(interval_s):
            if reason := _stall(progress, config.watchdog.timeout_s, config.watchdog.start_timeout_s):
                print(f"medu1: {reason}", file=sys.stderr)
                clean_up(failed=True)
                os._exit(EXIT_STALLED)  # the main thread waits in Ray for an answer that will not come

    # Slurm and `kill` end a run with SIGTERM: leave by the same way as Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    threading.Thread(target=watch, daemon=True).start()
    failed = True
    try:
        yield config
        failed = False
    finally:
        finished.set()
        import ray

        ray.shutdown()
        clean_up(failed)
