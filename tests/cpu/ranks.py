"""Starts the ranks of a test as processes of their own."""

import importlib
import multiprocessing
import os
import socket
import sys
import tempfile
from pathlib import Path

# Importing these takes longer than most tests: the fork server imports them once for all ranks of a test session.
_PRELOADED = ("verl.workers.engine.megatron.transformer_impl", "megatron.bridge")
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(list(_PRELOADED))


def _rank(module: str, arguments: list[str], output: str) -> None:
    """Run the module's `main` with these arguments; all output goes to a file."""
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    sys.argv = [module, *arguments]
    importlib.import_module(module).main()


def run_ranks(module: str, world: int, *arguments: object, seconds: float = 200) -> None:
    """Call `main` of a module with RANK WORLD PORT ARGUMENTS... as its command line, in a process for each rank.

    A rank has the environment that the first test of the session had, in which the fork server was started.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder) / str(rank) for rank in range(world)]
        ranks = [
            _context.Process(target=_rank, args=(module, [*map(str, (rank, world, port, *arguments))], str(output)))
            for rank, output in enumerate(outputs)
        ]
        for process in ranks:
            process.start()
        try:
            for process, output in zip(ranks, outputs, strict=True):
                process.join(seconds)
                assert process.exitcode == 0, output.read_text()[-3000:] if output.exists() else "no output"
        finally:
            for process in ranks:
                process.kill()
                process.join()
