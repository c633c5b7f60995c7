"""Two trainings at once on one machine, which never meet: neither weights nor sockets nor processes."""

import subprocess
from pathlib import Path

import psutil
import pytest

from tests.e2e.runs import command, make_inputs, tail
from tests.e2e.test_training import COMPARED, check_run

NEEDED_GIB = 26  # one run takes 11 at its peak (docs/quickstart.md)
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        psutil.virtual_memory().total < NEEDED_GIB * 2**30, reason=f"two runs at once need {NEEDED_GIB} GiB of memory"
    ),
]


def test_each_trains_its_own_model(tmp_path: Path) -> None:
    """verl names the socket for new weights by Ray's job id, which is the same in each run's own cluster.

    Two runs that took one socket hung, or gave their rollout the other's weights: then trainer and rollout would
    differ, since the two models are different ones.
    """
    runs = []
    for seed in (0, 1):
        inputs = tmp_path / str(seed)
        inputs.mkdir()
        make_inputs(inputs, seed)
        log = (inputs / "log").open("w")
        arguments = command(inputs, inputs / "run", COMPARED, "trainer.total_training_steps=4", "trainer.save_freq=-1")
        runs.append((inputs, subprocess.Popen(arguments, stdout=log, stderr=log)))
    try:
        for inputs, process in runs:
            assert process.wait(900) == 0, tail(inputs / "log")
    finally:
        for _, process in runs:
            process.terminate()
    for inputs, _ in runs:
        check_run(inputs / "run", steps=4, answers=16)
