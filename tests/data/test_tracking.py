"""Long work shows a bar where somebody watches, and nothing else where nobody does."""

import doctest
import os
import pty
import subprocess
import sys

import pytest

from verl_medu1.data import tracking


@pytest.mark.parametrize("is_terminal", [True, False])
def test_prepare_shows_how_far_it_is(tmp_path, is_terminal):
    watcher, terminal = pty.openpty()
    command = [sys.executable, "-m", "verl_medu1.cli.app", "prepare", "--source", "synthetic-calc=3000"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=terminal if is_terminal else subprocess.PIPE,
        env={**os.environ, "TERM": "xterm"},
        timeout=100,
    )
    os.close(terminal)
    if is_terminal:
        assert b"generating calculations" in os.read(watcher, 1 << 16)
    else:
        assert done.stderr == b""
    os.close(watcher)


def test_docstring_examples():
    assert doctest.testmod(tracking).failed == 0
