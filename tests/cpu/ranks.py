"""Starts the ranks of a test as processes of their own."""

import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run_ranks(module: str, world: int, *arguments: object, seconds: float = 200) -> None:
    """Run `python -m MODULE RANK WORLD PORT ARGUMENTS...` once for each rank, and wait for all."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [
        subprocess.Popen(
            [sys.executable, "-m", module, *map(str, (rank, world, port, *arguments))],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
        )
        for rank in range(world)
    ]
    try:
        for process in ranks:
            output, _ = process.communicate(timeout=seconds)
            assert process.returncode == 0, output[-3000:]
    finally:
        for process in ranks:
            process.kill()
