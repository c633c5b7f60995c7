"""Where an attempt of a job keeps its files: the run's folder as the user wrote it, and the attempt's number."""

import os
import subprocess
from pathlib import Path

import pytest

LIB = Path(__file__).resolve().parents[2] / "slurm" / "lib"
PROGRAM = """
set -euo pipefail
source "$MEDU1_SLURM_DIR/lib/common.sh"
source "$MEDU1_SLURM_DIR/lib/environment.sh"
scontrol() { printf 'node1\\nnode2\\n'; }
set_defaults "$@"
printf '%s\\n' "$MEDU1_RUN_DIR" "$MEDU1_ATTEMPT_DIR" "$MEDU1_HOSTS"
"""
SETTINGS = {
    "MEDU1_SLURM_DIR": str(LIB.parent),
    "SLURM_SUBMIT_DIR": "/home/me",
    "SLURM_JOB_ID": "17",
    "SLURM_JOB_NAME": "medu1",
    "SLURM_JOB_NODELIST": "node[1-2]",
    "PATH": os.environ["PATH"],
}


def defaults(*arguments: str) -> tuple[int, list[str]]:
    """Exit code, and folder of the run, folder of the attempt and hosts."""
    done = subprocess.run(["bash", "-c", PROGRAM, "job.sh", *arguments], env=SETTINGS, capture_output=True, text=True)
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize(
    ("arguments", "run_dir"),
    [
        ([], "/home/me/outputs/medu1-17"),
        (["run_dir=runs/a"], "/home/me/runs/a"),
        (["recipe=x", "run_dir=/a", "run_dir=/b"], "/b"),
        (["run_dir='/a b/é (1)'"], "/a b/é (1)"),
        (['run_dir="/a b"'], "/a b"),
    ],
)
def test_the_folder_of_the_run_is_the_one_that_hydra_reads(arguments, run_dir):
    assert defaults(*arguments) == (0, [run_dir, f"{run_dir}/attempts/000", "node1 node2"])


@pytest.mark.parametrize("run_dir", ["/a'b", "'/a", '/a"', "/a\\b"])
def test_a_quote_in_it_is_refused(run_dir):
    code, said = defaults(f"run_dir={run_dir}")
    assert code == 2 and said[0].endswith(
        f"run_dir is {run_dir}, which has a quote or a backslash; choose another folder"
    )


@pytest.mark.parametrize(
    ("there", "number"), [([], "000"), (["000", "001"], "002"), (["002"], "003"), (["099", "0x", "old"], "100")]
)
def test_an_attempt_is_numbered_behind_all_that_are_there(tmp_path, there, number):
    run_dir = tmp_path / "r[1] *"
    for name in there:
        (run_dir / "attempts" / name).mkdir(parents=True)
    assert defaults(f"run_dir={run_dir}")[1][1] == f"{run_dir}/attempts/{number}"
