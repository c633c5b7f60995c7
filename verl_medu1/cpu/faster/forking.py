"""Starts the fork server of a run, and lets Ray start its workers through it."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from omegaconf import DictConfig

from verl_medu1.cpu.faster.fork_client import VARIABLE

CLIENT = Path(__file__).with_name("fork_client.py")
IMPORTS = ("verl_medu1.cpu.faster.imports",)
# Ray's ids of the first two jobs of a cluster.
FIRST_JOB, SECOND_JOB = "01000000", "02000000"
_server: subprocess.Popen[bytes] | None = None  # never waited for, so that it stays visible when it is dead


def variables_of(config: DictConfig) -> dict[str, str] | None:
    """Return the environment variables of a run's workers if they are to be forked, else None.

    Raises:
        ValueError: `fork_workers` is neither true nor false.
    """
    wanted = config.get("fork_workers", False)
    if not isinstance(wanted, bool):
        raise ValueError(f"fork_workers is {wanted!r}; it must be true or false.")
    if not wanted or config.trainer.device != "cpu":
        return None
    return {name: str(value) for name, value in config.ray_kwargs.ray_init.runtime_env.env_vars.items()}


def fork_workers(
    variables: Mapping[str, str], folder: Path, job: str = FIRST_JOB, modules: Sequence[str] = IMPORTS
) -> None:
    """Start a fork server, and let the Ray that this process starts later fork its workers from it.

    Works around ray/_private/ray_constants.py, SETUP_WORKER_FILENAME: the script with which Ray's raylet starts each of
    its Python processes.

    Args:
        variables: environment variables of the workers.
        folder: for the server's socket and all temporary files of workers.
        job: Ray's id of the job whose workers are forked; those of others are started as Ray does it.
        modules: what the server imports.
    """
    global _server
    # Ray reads these two when the server imports it, and never again. With the second one, a worker looks whether it
    # still has a raylet; that is not there yet, and it ends with this process.
    of_ray = {"RAY_JOB_ID": job, "RAY_RAYLET_PID": str(os.getpid())}
    path = folder / "forks" / "socket"
    path.parent.mkdir(mode=0o700)  # Ray lets everybody into the folder itself
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(128)
        _server = subprocess.Popen(
            [sys.executable, "-m", "verl_medu1.cpu.faster.fork_server", str(listener.fileno()), *modules],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | variables | {"TMPDIR": str(folder)} | of_ray,
            pass_fds=[listener.fileno()],
        )
    threading.Thread(target=_copy, args=(_server.stdout,), daemon=True).start()
    os.environ[VARIABLE] = str(path)
    from ray._private import ray_constants

    ray_constants.SETUP_WORKER_FILENAME = str(CLIENT)


def _copy(output: IO[bytes]) -> None:
    """Write what the server prints to where this process prints, which moves to the run's log once that is open."""
    for line in output:
        os.write(2, line)
