"""Ray's logical processors: what a machine or Slurm gives, what a run asks, and the sentence between them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from tests.composed import composed
from verl_medu1.checks.settings import started_here_violations
from verl_medu1.config.compose import compose_config
from verl_medu1.config.recipes import recipe_names
from verl_medu1.machine.processors import asked_processors, given_processors, processor_violation

LIB = Path(__file__).resolve().parents[2] / "slurm" / "lib"
GIVEN = "from verl_medu1.machine.processors import given_processors; print(given_processors())"
RAY_START = """
set -euo pipefail
source "$LIB/ray.sh"
MEDU1_PYTHON=$1 node_ip=10.0.0.1 host=a ray_dir=/r MEDU1_PORT_BASE=10000
shift
ray_start "$@"
wait "$ray_pid"
"""


def on_one_processor(*command: str, **more: str) -> str:
    """What a command prints that may use one processor of the machine."""
    first = min(os.sched_getaffinity(0))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")} | more
    done = subprocess.run(
        ["taskset", "-c", str(first), *command], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("slurm", [{}, {"SLURM_CPUS_ON_NODE": "16"}, {"SLURM_CPUS_ON_NODE": "64(x2)"}])
def test_the_affinity_bounds_what_slurm_says(slurm):
    assert on_one_processor(sys.executable, "-c", GIVEN, **slurm) == "1"


@pytest.mark.parametrize("value", ["1", "", "0", "-1", "unknown"])
def test_slurm_bounds_the_machine(monkeypatch, value):
    monkeypatch.delenv("SLURM_CPUS_ON_NODE", raising=False)
    machine = given_processors()
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", value)
    assert given_processors() == (1 if value == "1" else machine)


@pytest.mark.parametrize(
    ("options", "said"), [(["--num-gpus=8"], ["--num-cpus=1"]), (["--num-cpus=32"], ["--num-cpus=32"])]
)
def test_each_node_tells_ray_its_own(tmp_path, options, said):
    """A double of the interpreter shows what `ray start` gets."""
    double = tmp_path / "python"
    double.write_text(f'#!/bin/bash\n[[ $1 == -m ]] && printf "%s\\n" "$@" || exec {sys.executable} "$@"\n')
    double.chmod(0o755)
    told = on_one_processor("bash", "-c", RAY_START, "node.sh", str(double), *options, LIB=str(LIB))
    assert [word for word in told.splitlines() if word.startswith("--num-cpus")] == said


@pytest.mark.parametrize("recipe", recipe_names())
def test_no_recipe_hangs_or_starts_idle_processes(recipe):
    """With enough there is no sentence, with one less there is, and no worker is started beforehand."""
    config = composed(f"recipe={recipe}")
    asked = asked_processors(config)
    assert processor_violation(config, asked) is None
    assert not config.ray_kwargs.ray_init._system_config.prestart_worker_first_driver
    if config.trainer.device == "cpu":
        assert processor_violation(config, 1) is None
    else:
        sentence = processor_violation(config, asked - 1, "node2")
        assert sentence is not None and sentence.startswith(f"node2 has {asked - 1} processors")
        assert f"--cpus-per-task={asked}" in sentence


@given(workers=st.integers(1, 16), nodes=st.integers(1, 64), units=st.integers(1, 64), cpus=st.integers(1, 128))
def test_what_is_asked_fits_into_what_passes(workers, nodes, units, cpus):
    """Groups of three for each worker, a controller, the node's units, and one more: placed one by one."""
    store = {"backend": {"SimpleStorage": {"num_data_storage_units": units}}}
    config = OmegaConf.create(
        {
            "trainer": {"nnodes": nodes, "n_gpus_per_node": workers},
            "transfer_queue": store,
            "ray_kwargs": {"ray_init": {}},
        }
    )
    on_the_first_node = len(range(0, units, nodes))
    left = cpus - 3 * workers - 1 - on_the_first_node
    assert (processor_violation(config, cpus) is None) == (left >= 1)


def test_a_run_that_is_started_here_is_told_too(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "1")
    config = compose_config(["recipe=qwen2.5-7b-1x8h100-tp2-pp1"])
    (sentence,) = started_here_violations(config)
    assert sentence.startswith("this process has 1 processors, and the run asks Ray for 34")
    (sentence,) = started_here_violations(compose_config(["recipe=quickstart", "ray_kwargs.ray_init.num_cpus=4"]))
    assert sentence.startswith("ray_kwargs.ray_init.num_cpus is 4, and the run asks Ray for 9")
    assert list(started_here_violations(compose_config(["recipe=quickstart"]))) == []
