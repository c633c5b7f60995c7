"""Random parts of a run are killed at random moments; `benchmarks/kills.py -n 100` is the same, more often."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.timeout(1800)]
COMMAND = Path(__file__).resolve().parents[2] / "benchmarks" / "kills.py"


def test_six_kills_leave_nothing_and_are_continued_from():
    seed = random.SystemRandom().randrange(1_000_000)
    done = subprocess.run(
        [sys.executable, str(COMMAND), "-n", "6", "--seed", str(seed)], capture_output=True, text=True
    )
    print(done.stdout)
    assert done.returncode == 0, f"again: python benchmarks/kills.py -n 6 --seed {seed}\n{done.stdout}{done.stderr}"
