"""How a step is run in a container; the line that results is read, not run."""

import os
import subprocess
from pathlib import Path

import pytest

SLURM = Path(__file__).resolve().parents[2] / "slurm"
PROGRAM = """
set -euo pipefail
fail() { echo "exit code $1: $2"; exit "$1"; }
EXIT_MISTAKE=2
source "$MEDU1_SLURM_DIR/lib/container.sh"
step=(srun --nodes=2)
in_container step bash node.sh "recipe=a b"
printf '%s\\n' "${step[@]}"
"""
SETTINGS = {
    "MEDU1_SLURM_DIR": str(SLURM),
    "MEDU1_RUN_DIR": "/shared/run",
    "MEDU1_SCRATCH": "/local",
    "SLURM_SUBMIT_DIR": "/home/me",
    "HF_HOME": "/shared/hf",
    "PATH": os.environ["PATH"],
}
COMMAND = ["bash", "node.sh", "recipe=a b"]


def line(**settings: str) -> tuple[int, list[str]]:
    """Exit code and the words of the line."""
    done = subprocess.run(["bash", "-c", PROGRAM], env=SETTINGS | settings, capture_output=True, text=True, cwd="/")
    return done.returncode, done.stdout.splitlines()


def test_without_a_container_srun_runs_the_command():
    assert line(MEDU1_CONTAINER="none") == (0, ["srun", "--nodes=2", *COMMAND])


def test_apptainer_sees_the_folders_and_hands_the_environment_on_by_itself():
    code, words = line(MEDU1_CONTAINER="apptainer", MEDU1_IMAGE="a.sif", MEDU1_MOUNTS="/data,/x:/y")
    mounts = f"{SLURM},/shared/run,/local,/home/me,/data,/x:/y"
    run = ["apptainer", "exec", "--nv", "--bind", mounts, "--pwd", "/", "a.sif"]
    assert (code, words) == (0, ["srun", "--nodes=2", *run, *COMMAND])


def test_pyxis_is_told_the_folders_and_which_variables_win_over_the_images():
    settings = {"MEDU1_IMAGE": "a.sqsh", "MEDU1_MOUNTS": "/x:/y,/a folder", "MEDU1_FORWARD": "HF_HOME,UCX_TLS"}
    code, words = line(MEDU1_CONTAINER="pyxis", **settings)
    options = dict(word.partition("=")[::2] for word in words[2 : -len(COMMAND)])
    assert code == 0 and words[-len(COMMAND) :] == COMMAND and words[0] == "srun"
    assert options["--container-image"] == "a.sqsh" and "--no-container-mount-home" in options
    mounts = ["/shared/run:/shared/run", "/local:/local", "/home/me:/home/me", "/x:/y", "/a folder:/a folder"]
    assert options["--container-mounts"].split(",")[1:] == mounts
    named = options["--container-env"].split(",")
    assert (
        {"HF_HOME", "MEDU1_RUN_DIR", "UCX_TLS"} <= set(named) and "PATH" not in named and len(named) == len(set(named))
    )


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"MEDU1_CONTAINER": "docker", "MEDU1_IMAGE": "a"}, "give none, apptainer or pyxis"),
        ({"MEDU1_CONTAINER": "pyxis"}, "MEDU1_IMAGE names no image"),
    ],
)
def test_a_mistake_is_said(settings, sentence):
    code, words = line(**settings)
    assert code == 2 and sentence in words[0]
