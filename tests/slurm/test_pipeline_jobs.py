"""Stages as jobs on a virtual Slurm, run: merges, whose jobs need no Ray. Trainings are in test_training.py."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file

from verl_medu1.cluster.pipeline import submit_pipeline
from verl_medu1.cluster.site import read_site
from verl_medu1.config.pipeline import read_stages
from verl_medu1.models.tiny import write_tiny_model
from verl_medu1.models.weights import WEIGHTS
from verl_medu1.run_folder.pipeline import DONE, WAITS, state_of

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1800)]


@pytest.fixture
def site(cluster, tmp_path, monkeypatch):
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    keys = {"gpu": None, "cpus_per_node": 2, "memory_gib_per_node": 8, "interface": "eth0", "signal_s": 60}
    Path("site.yaml").write_text(yaml.safe_dump({**keys, "time": "1:00:00", "scratch": str(cluster.scratch)}))
    for seed, name in enumerate("AB"):
        write_tiny_model(["a fever", "a cough"], Path(name), seed=seed, hidden=16)
    return read_site(Path("site.yaml"))


TEXT = "stages: {half: [merge, A, B], quarter: [merge, '{half}', A], eighth: [merge, '{quarter}', A]}"


def test_each_job_begins_when_the_one_before_has_ended_well(cluster, wait_for, site):
    run_dir = Path("stages")
    stages = read_stages(TEXT, "it", run_dir)
    jobs = dict(submit_pipeline(run_dir, stages, site))
    assert wait_for(lambda: cluster.state(jobs["eighth"]) == "COMPLETED", 900), cluster.state(jobs["half"])
    assert [state_of(stage) for stage in stages] == [DONE] * 3
    found, one, other = (load_file(folder / WEIGHTS) for folder in (run_dir / "eighth", Path("A"), Path("B")))
    for name, tensor in found.items():
        assert (tensor - 0.875 * one[name] - 0.125 * other[name]).abs().max() < 1e-6
    ends = [json.loads((run_dir / "jobs" / name / "attempts/000/attempt.json").read_text()) for name in jobs]
    assert [end["reason"] for end in ends] == ["finished"] * 3
    assert all(before["ended"] <= after["started"] for before, after in pairwise(ends))


def test_what_follows_a_failed_stage_is_cancelled_and_submitted_again(cluster, wait_for, site):
    run_dir = Path("stages")
    stages = read_stages(TEXT, "it", run_dir)
    Path("B").rename("hidden")
    jobs = dict(submit_pipeline(run_dir, stages, site))
    assert wait_for(lambda: not cluster.run("squeue", "--noheader"), 900)
    assert [state_of(stage) for stage in stages] == [WAITS] * 3
    assert cluster.state(jobs["half"]) == "FAILED"
    assert "B has no config.json" in (run_dir / "jobs/half/attempts/000/driver.log").read_text()
    Path("hidden").rename("B")
    again = dict(submit_pipeline(run_dir, stages, site))
    assert wait_for(lambda: cluster.state(again["eighth"]) == "COMPLETED", 900)
    assert list(submit_pipeline(run_dir, stages, site)) == []
