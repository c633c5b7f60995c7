"""What .ci/run does with suites that pass, fail or come too late; `make` and Slurm's programs are stand-ins here."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LONGER = {"test-slurm", "test-faults", "test-long"}
# Says which target it was asked for; the target in $FAILING fails.
MAKE = '#!/bin/sh\necho "asked for: $*"\ntest "$1" != "$FAILING"\n'


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository of one commit that holds .ci/run."""
    shutil.copytree(ROOT / ".ci", tmp_path / "clone" / ".ci")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("make", "slurmctld", "slurmd", "sbatch", "munged", "ip"):
        (programs / name).write_text(MAKE)
        (programs / name).chmod(0o755)
    subprocess.run(["git", "init", "-q", tmp_path / "clone"], check=True)
    commit(tmp_path / "clone", "one")
    return tmp_path / "clone"


def commit(clone: Path, message: str) -> None:
    """Commit nothing, always with the same hash."""
    dates = {"GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z"}
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-C", clone]
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", message], check=True, env=os.environ | dates)


def ci(clone: Path, **environment: str) -> tuple[int, list[str], str]:
    """Exit code, targets in the order in which they were asked for, and all that was printed."""
    path = f"{clone.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", clone / ".ci" / "run"],
        env=os.environ | {"PATH": path, "FAILING": ""} | environment,
        capture_output=True,
        text=True,
    )
    return done.returncode, re.findall(r"^asked for: (\S+)", done.stdout, re.MULTILINE), done.stdout


def test_all_suites_run_and_their_seconds_are_shown(clone):
    code, targets, printed = ci(clone)
    assert code == 0
    assert targets[:2] == ["quickstart", "test"]
    assert set(targets[2:]) == LONGER and len(targets) == 5
    assert len(re.findall(r"^ +\d+ s  make \S+.*: passed$", printed, re.MULTILINE)) == 5
    assert re.search(r"make test-long THIRD=[012]: passed", printed)


@pytest.mark.parametrize("failing", ["quickstart", "test", "test-faults"])
def test_a_suite_that_fails_fails_the_run_and_the_others_are_still_tried(clone, failing):
    code, targets, printed = ci(clone, FAILING=failing)
    assert code == 1
    assert len(targets) == 5
    assert re.search(rf"make {failing}: FAILED", printed)


def test_no_suite_starts_too_late_and_those_left_out_are_named(clone):
    code, targets, printed = ci(clone, MEDU1_CI_LAST_START="0")
    assert code == 0
    assert targets == ["quickstart", "test"]
    assert {name for name in LONGER if re.search(rf"make {name}\b.*: left out, \d+ s had passed", printed)} == LONGER


def test_order_and_third_change_from_commit_to_commit(clone):
    found = set()
    for number in range(12):
        commit(clone, str(number))
        _, targets, printed = ci(clone)
        third = re.search(r"THIRD=([012])", printed)
        assert third
        found.add((targets[2], third[1]))
    assert len(found) > 3
