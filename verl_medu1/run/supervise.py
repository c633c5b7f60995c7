"""Ends a run that stalls, has lost a part or has filled a disk, and says why."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, open_dict

from verl_medu1.exit import ExitCode
from verl_medu1.machine.processors import given_processors, workers_per_node
from verl_medu1.run.channel import Channel, Run
from verl_medu1.run.full_disk import full_disk
from verl_medu1.run.parts import PartWatch
from verl_medu1.run_folder.checkpoints import way_on
from verl_medu1.run_folder.names import METRICS
from verl_medu1.run_folder.progress import SAVE, Progress

# Arguments that ray.init accepts only when it starts a cluster; an existing cluster was given them when it started.
CLUSTER_KEYS = ("num_cpus", "num_gpus", "object_store_memory", "include_dashboard", "_system_config", "_temp_dir")
START_PHASES = ("start", "first weight sync")


class StallWatch:
    """Detects a run whose progress report has not changed for too long.

    Time is measured on this process's monotonic clock: the reports may come from another machine whose clock differs,
    and a laptop may have slept.
    """

    def __init__(self, progress: Progress, timeout_s: float, start_timeout_s: float) -> None:
        self._progress, self._timeout_s, self._start_timeout_s = progress, timeout_s, start_timeout_s
        self._last: dict[str, int | str | float] = {}
        self._since = time.monotonic()

    def look(self) -> str | None:
        """Return one sentence if the last progress is too old, else None."""
        last = self._progress.read()
        if last != self._last:
            self._last, self._since = last, time.monotonic()
        limit, key = self._timeout_s, "watchdog.timeout_s"
        if last["phase"] in START_PHASES:
            limit, key = self._start_timeout_s, "watchdog.start_timeout_s"
        if time.monotonic() - self._since <= limit:
            return None
        return (
            f"no progress for {limit:.0f} s in phase '{last['phase']}' of step {last['step']}, the run is ended; "
            f"raise {key} if this phase may take longer."
        )


def _died(part: str, progress: Progress, checkpoints: Path) -> tuple[str, ExitCode]:
    last = progress.read()
    return f"{part}, in phase '{last['phase']}' of step {last['step']}; {way_on(checkpoints)}.", ExitCode.PART_DIED


@contextmanager
def supervised(config: DictConfig, channel: Channel, interval_s: float = 1.0) -> Iterator[DictConfig]:
    """Run the body, in a driver, under a watchdog. The keeper ends what is left of the run afterwards.

    Args:
        config: the run's configuration (`run_dir`, `watchdog`, `ray_kwargs`, `trainer`).
        channel: to the keeper.
        interval_s: seconds between two checks of the run's progress and its parts.

    Yields:
        The configuration to train with: absolute run_dir, and the keeper's temporary folder for the sockets of Ray and
        vLLM. If the environment names a cluster (RAY_ADDRESS), the run joins it unchanged.

    One sentence and the exit code distinguish a stalled run (3), a part that died (4) and a full disk (5).
    """
    temporary = str(channel.temporary)
    config = config.copy()
    with open_dict(config):
        config.run_dir = os.path.abspath(config.run_dir)
        ray_init = config.ray_kwargs.ray_init
        ray_init.runtime_env.env_vars.VERL_FILE_LOGGER_PATH = str(Path(config.run_dir) / METRICS)
        if os.environ.get("RAY_ADDRESS"):
            # Each node of that cluster has its own temporary folder, which its processes already know (slurm/node.sh).
            for key in CLUSTER_KEYS:
                ray_init.pop(key, None)
        else:
            ray_init._temp_dir = temporary
            if config.trainer.device == "cpu":
                ray_init.num_gpus = workers_per_node(config)  # worker slots; on GPUs, Ray counts them itself
            if ray_init.get("num_cpus") is None:
                ray_init.num_cpus = given_processors()  # Ray itself would count all of the machine's
            ray_init.runtime_env.env_vars.update({"TMPDIR": temporary, "VLLM_RPC_BASE_PATH": temporary})
    OmegaConf.resolve(config)  # verl copies ray_kwargs out of the configuration, where interpolations do not resolve
    progress = Progress(config.run_dir)
    progress.report(0, "start")

    run_dir, checkpoints = Path(config.run_dir), Path(config.trainer.default_local_dir)
    channel.announce(Run(str(run_dir), str(checkpoints.absolute()), prometheus_port=config.prometheus.port))
    parts = PartWatch(config.trainer.n_gpus_per_node)
    stalls = StallWatch(progress, config.watchdog.timeout_s, config.watchdog.start_timeout_s)
    ending = threading.Lock()  # held by whichever thread ends the run: the watchdog or this one
    finished = threading.Event()

    def find_fault() -> tuple[str, ExitCode] | None:
        if part := parts.look():
            return _died(part, progress, checkpoints)
        stall = stalls.look()
        return (stall, ExitCode.STALLED) if stall else None

    def watch() -> None:
        blind = ""
        while not finished.wait(interval_s):
            try:
                fault = find_fault()
            except Exception as error:  # a shared disk or Ray that does not respond now may respond at the next check
                if blind != (blind := repr(error)):
                    channel.say(f"medu1: the watch over the run can't see: {error!r}")
                continue
            if fault and ending.acquire(blocking=False):
                channel.say(f"medu1: {fault[0]}")
                channel.tidy_without_keeper()
                os._exit(fault[1])  # the main thread may wait in Ray forever

    told: list[int] = []

    def leave(number: int, _: object) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)  # a second signal would interrupt the cleanup
        told.append(number)
        raise KeyboardInterrupt  # not SystemExit, which Ray turns into an error of its own while it waits

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)
    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        try:
            yield config
        finally:
            ending.acquire()  # blocks forever if the watchdog thread is ending the run
            finished.set()
            watching.join()  # it may be querying Ray, which is about to shut down
    except BaseException as error:
        if told:
            sys.exit(128 + told[0])
        if not isinstance(error, Exception):
            raise
        if full := full_disk(error, (checkpoints, run_dir), saving=progress.read()["phase"] == SAVE):
            fault = f"{full}; make room, and {way_on(checkpoints)}.", ExitCode.DISK_FULL
        elif part := parts.last_look():
            fault = _died(part, progress, checkpoints)
        else:
            raise
        channel.say(f"medu1: {fault[0]}")
        sys.exit(fault[1])
    finally:
        import ray

        channel.end_ray()
        ray.shutdown()
        channel.tidy_without_keeper()
