"""What a forked process does first: what Ray's or multiprocessing's own start of a process would have done."""

import argparse
import multiprocessing.spawn
import os
import runpy
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy
import setproctitle
from ray._private import services
from ray._private.authentication_test_utils import reset_auth_token_state
from ray._private.ray_constants import SETUP_WORKER_FILENAME
from ray._private.runtime_env.context import RuntimeEnvContext
from ray._private.utils import update_envs

CLIENT = Path(__file__).with_name("fork_client.py")
_SETUP_WORKER = Path(services.__file__).with_name("workers") / SETUP_WORKER_FILENAME
_SPAWN = "--spawn"
_JOB = "RAY_JOB_ID"
# Ray reads this one when it is imported, that is in the server, and never again.
_SERVER_JOB = os.environ.get(_JOB)


def run(argv: list[str], environment: Mapping[str, str]) -> None:
    """Run a worker of Ray's or a child of multiprocessing, to its end.

    Args:
        argv: `default_worker.py ... --serialized-runtime-env-context=JSON --language=PYTHON`, as Ray's raylet starts a
            worker, or `--spawn NAME=NUMBER ...`, as `spawn_through_client` does.
        environment: all its variables.
    """
    spawned = argv[0] == _SPAWN
    if spawned:
        # It finds the place of a process's title beside that of its environment, which moves now. Ray has its own way,
        # which fails after this one.
        setproctitle.getproctitle()
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None
    numpy.random.seed()  # Python does this for its own generator
    spawn_through_client()
    if spawned:
        sys.argv = ["-c", "--multiprocessing-fork"]
        numbers = (argument.partition("=") for argument in argv[1:])
        multiprocessing.spawn.spawn_main(**{name: int(value) for name, _, value in numbers})
    else:
        _run_worker(argv)


def _run_worker(argv: list[str]) -> None:
    if argv[0] == "-m":  # the server of Ray Client, which `ray start` starts so, too
        os.execv(sys.executable, [sys.executable, str(_SETUP_WORKER), *argv])
    parser = argparse.ArgumentParser()
    parser.add_argument("--serialized-runtime-env-context", default="{}")
    parser.add_argument("--language")
    arguments, sys.argv = parser.parse_known_args(argv)
    context = RuntimeEnvContext.deserialize(arguments.serialized_runtime_env_context)
    other_python = context.py_executable != sys.executable or context.command_prefix
    if other_python or os.environ.get(_JOB, _SERVER_JOB) != _SERVER_JOB:
        os.execv(sys.executable, [sys.executable, str(_SETUP_WORKER), *argv])
    update_envs(context.env_vars)
    reset_auth_token_state()  # and all other settings that Ray has read from the server's environment
    runpy.run_path(sys.argv[0], run_name="__main__")


def spawn_through_client() -> None:
    """Let the children that multiprocessing spawns be forked, too: vLLM's engine is one.

    Works around multiprocessing/spawn.py, get_command_line.
    """

    def get_command_line(**numbers: int) -> list[str]:
        return [sys.executable, str(CLIENT), _SPAWN, *(f"{name}={number}" for name, number in numbers.items())]

    multiprocessing.spawn.get_command_line = get_command_line  # type: ignore[assignment]
