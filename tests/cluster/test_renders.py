"""Job files are those that are kept: every recipe at one site, and one recipe at all sites with all containers."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.renders import CHECKOUT, CONTAINER, FOLDER, RECIPE, SITE, SITES, jobs_of
from verl_medu1.cluster.job import render
from verl_medu1.cluster.site import CONTAINERS
from verl_medu1.config.recipes import recipe_names

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("recipe", recipe_names())
def test_the_job_file_is_the_one_that_is_kept(recipe):
    for name, job in jobs_of(recipe):
        assert render(job) == (FOLDER / name).read_text(), f"{name}: python -m tests.cluster.renders writes it again"


def test_each_is_kept_and_no_other():
    kept = {str(file.relative_to(FOLDER)) for file in FOLDER.rglob("*.*")}
    everywhere = {f"{site.stem}/{container}/{RECIPE}.sbatch" for site in SITES for container in CONTAINERS}
    assert kept == everywhere | {f"{SITE}/{CONTAINER}/{recipe}.sbatch" for recipe in recipe_names()}
    assert len(SITES) >= 2


@pytest.mark.parametrize("site", SITES, ids=lambda file: file.stem)
def test_bash_reads_them(site):
    for file in (FOLDER / site.stem).rglob("*.sbatch"):
        done = subprocess.run(["bash", "-n", file], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_what_a_job_file_hands_to_the_job(tmp_path):
    """Run: job.sh gets the settings of the site, and the arguments of the recipe and of sbatch."""
    (tmp_path / "job.sh").write_text('env | grep -E "^(MEDU1|NCCL)_" | sort; printf "%s\\n" "$@"\n')
    text = (FOLDER / "gres-infiniband/apptainer/qwen2.5-7b-1x8h100-tp2-pp1.sbatch").read_text()
    assert str(CHECKOUT / "slurm") in text
    script = tmp_path / "job.sbatch"
    script.write_text(text.replace(str(CHECKOUT / "slurm"), str(tmp_path)))
    done = subprocess.run(
        ["bash", script, "data.seed=2"], capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"}
    )
    assert done.stdout.splitlines() == [
        "MEDU1_CONTAINER=apptainer",
        "MEDU1_IMAGE=/shared/images/medu1.sif",
        "MEDU1_INTERFACE=ib0",
        "MEDU1_MAX_REQUEUES=20",
        "MEDU1_MODULES=cuda/13.0 nccl/2.28",
        "MEDU1_MOUNTS=/shared",
        "MEDU1_NODE_TIMEOUT_S=600",
        "MEDU1_PYTHON=python3",
        f"MEDU1_RUN_DIR={CHECKOUT}/outputs/qwen2.5-7b-1x8h100-tp2-pp1",
        "MEDU1_SCRATCH=/tmp",
        f"MEDU1_SLURM_DIR={tmp_path}",
        "NCCL_IB_HCA=mlx5",
        "recipe=qwen2.5-7b-1x8h100-tp2-pp1",
        "data.seed=2",
    ]


def test_the_command_that_writes_them_has_help():
    subprocess.run([sys.executable, "-m", "tests.cluster.renders", "--help"], cwd=ROOT, check=True, capture_output=True)
