"""What Slurm's commands and nvidia-smi print in the wild: understood, or quoted in a sentence."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from verl_medu1.cluster.submission import job_number, note
from verl_medu1.machine.facts import visible_gpus
from verl_medu1.run_folder.attempts import SUBMITTED, jobs_of, submitted

SLURM = Path(__file__).resolve().parents[2] / "slurm"
GPU = "NVIDIA H100 80GB HBM3, 580.1, 81559, 9.0\n"


def put(folder: Path, name: str, printed: str) -> None:
    """A program that prints a text."""
    (folder / f"{name}.txt").write_text(printed)
    (folder / name).write_text(f'#!/bin/sh\ncat "{folder}/{name}.txt"\n')
    (folder / name).chmod(0o755)


@pytest.mark.parametrize("printed", ["4711\n", "4711;stampede3\n", "----\n Welcome to Stampede3 \n----\n\n4711\n"])
def test_the_number_of_a_job_is_found(printed):
    assert job_number(printed) == "4711"


@pytest.mark.parametrize("printed", ["", "Welcome 2026 users\n", "4711\n4712\n", "-4711\n", "Submitted job x\n"])
def test_what_has_no_number_is_quoted(printed):
    with pytest.raises(ValueError, match="sbatch printed") as caught:
        job_number(printed)
    assert " ".join(printed.split()) in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_that_holds_a_banner_as_a_number_can_be_read(tmp_path):
    lines = [json.dumps({"job": job}) for job in ("--- Welcome 4711", "", "4712")]
    (tmp_path / SUBMITTED).write_text("\n".join(lines) + "\n")
    assert jobs_of(tmp_path) == ["4712"]


@pytest.mark.parametrize("cut_off", ["", '{"job": "47', '{"job": "4711"}\n{'])
def test_a_job_is_written_down_behind_a_line_that_was_cut_off(tmp_path, cut_off):
    (tmp_path / SUBMITTED).write_text(cut_off)
    for number in ("4712", "4713"):
        note(tmp_path, number, "quickstart")
    numbers, unreadable = submitted(tmp_path)
    assert numbers[-2:] == ["4712", "4713"] and unreadable == bool(cut_off)


@pytest.mark.parametrize(
    ("visible", "count"),
    [
        (None, 2),
        ("0,1", 2),
        ("1", 1),
        ("GPU-5a,GPU-5b", 2),
        ("", 0),
        ("-1", 0),
        ("NoDevFiles", 0),
        ("7", 0),
        ("0,-1,1", 1),
    ],
)
def test_as_many_gpus_as_cuda_would_see(monkeypatch, tmp_path, visible, count):
    put(tmp_path, "nvidia-smi", GPU * 2)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    gpus, failure = visible_gpus()
    assert (len(gpus), failure) == (count, None)


def test_mig_slices_are_no_gpus_to_train_on(monkeypatch, tmp_path):
    put(tmp_path, "nvidia-smi", GPU)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-aaaa,MIG-bbbb")
    gpus, failure = visible_gpus()
    assert gpus == [] and failure is not None and "MIG slices can't be trained on" in failure


@pytest.mark.parametrize(
    "printed",
    ["H100, 580.1, [N/A], 9.0", "H100, 580.1, [Insufficient Permissions], 9.0", "H100, 580.1, 81559, [N/A]", "?"],
)
def test_a_row_that_is_not_understood_is_quoted(monkeypatch, tmp_path, printed):
    put(tmp_path, "nvidia-smi", printed + "\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    gpus, failure = visible_gpus()
    assert gpus == [] and failure is not None and printed in failure


@pytest.mark.parametrize("folder", ["plain", "my project", "my  own project"])
@pytest.mark.parametrize("arguments", ["", " recipe=quickstart run_dir='a b'"])
def test_the_job_file_finds_itself(tmp_path, folder, arguments):
    there = tmp_path / folder / "slurm"
    there.mkdir(parents=True)
    (there / "train.sbatch").touch()
    (there / "job.sh").write_text('echo "$MEDU1_SLURM_DIR"\n')
    put(tmp_path, "scontrol", f"JobId=1 JobName=medu1\n   Command={there}/train.sbatch{arguments}\n   WorkDir=/\n")
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "1"}
    done = subprocess.run(["bash", SLURM / "train.sbatch"], env=environment, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout.strip()) == (0, str(there)), done.stderr


def test_a_heterogeneous_job_is_refused_in_one_sentence(tmp_path):
    records = [f"JobId={number} HetJobId=1 HetJobOffset={number - 1} JobName=medu1\n" for number in (1, 2)]
    put(tmp_path, "scontrol", "".join(records) + f"   Command={SLURM}/train.sbatch\n")
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "1"}
    done = subprocess.run(["bash", SLURM / "train.sbatch"], env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.splitlines() == ["the job is heterogeneous, which is not supported; submit one without ':'"]
