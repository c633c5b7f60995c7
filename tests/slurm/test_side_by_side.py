"""Virtual clusters that start, work and stop beside each other on one machine, each in a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1800)]
VIRTUAL = Path(__file__).parent / "cluster" / "virtual.py"


class Neighbour:
    """A cluster of one node, and a job on it that writes a file again and again."""

    def __init__(self, process: subprocess.Popen[str], beat: Path) -> None:
        assert process.stdout is not None
        self.process, self.beat = process, beat
        self.conf = Path(json.loads(process.stdout.readline())["SLURM_CONF"])
        found = re.search(r"NodeAddr=10\.77\.(\d+)\.1 ", self.conf.read_text())
        assert found is not None
        self.number = found[1]

    def slurm(self, *command: str, script: str | None = None) -> str:
        """What a command of Slurm prints."""
        environment = os.environ | {"SLURM_CONF": str(self.conf)}
        done = subprocess.run(command, input=script, env=environment, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def submit(self) -> str:
        """Number of the job."""
        script = f"#!/bin/bash\nwhile :; do echo >'{self.beat}'; sleep 1; done\n"
        return self.slurm("sbatch", "--parsable", "--output=/dev/null", script=script)

    def links(self) -> list[str]:
        """Its network, as the machine shows it."""
        shown = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
        return re.findall(rf"medu1(?:br{self.number}|v{self.number}x\d)\b", shown)


@pytest.fixture
def neighbours(cluster, tmp_path) -> Iterator[list[Neighbour]]:
    """Three that are started at the same moment; `cluster`, a fourth, skips where none can be."""
    command = [sys.executable, str(VIRTUAL), "--nodes", "1"]
    with ExitStack() as stack:
        processes = []
        for _ in range(3):
            processes.append(stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)))
            stack.callback(processes[-1].send_signal, signal.SIGTERM)
        yield [Neighbour(process, tmp_path / f"beat{i}") for i, process in enumerate(processes)]


def test_the_end_of_one_is_not_the_others(neighbours, wait_for):
    """Their nodes have the same name and port, their jobs the same number, their processes the same command line."""
    assert [each.submit() for each in neighbours] == ["1"] * 3
    assert wait_for(lambda: all(each.beat.exists() for each in neighbours), 300)
    assert all(each.links() for each in neighbours)

    first, *others = neighbours
    first.process.send_signal(signal.SIGTERM)
    first.process.wait(300)
    for each in neighbours:
        each.beat.unlink()
    assert wait_for(lambda: all(each.beat.exists() for each in others), 300)
    for each in others:
        assert each.slurm("squeue", "--noheader", "--format=%T %N") == "RUNNING node1" and each.links()
    assert not first.beat.exists() and not first.conf.parent.exists() and not first.links()


def test_two_of_one_process_differ_and_one_that_was_not_started_takes_nothing_along(cluster):
    other = type(cluster)(1)
    addresses = {each.nodes["node1"].address for each in (cluster, other)}
    other.stop()
    assert len(addresses) == 2 and not other.folder.exists()
    assert cluster.run("sinfo", "--noheader", "--format=%D %t") == "3 idle"
