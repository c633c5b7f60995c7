"""A virtual cluster for the tests of this folder, and how they submit jobs to it."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# The small job of these tests: two nodes with one worker slot each.
TWO_NODES = ["recipe=quickstart", "trainer.nnodes=2", "trainer.n_gpus_per_node=1"]


def _load_virtual() -> ModuleType:
    # By its path: the tests' folder `slurm` would hide the package of the job's scripts.
    spec = importlib.util.spec_from_file_location("virtual_slurm", HERE / "cluster" / "virtual.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


virtual = _load_virtual()


@pytest.fixture(scope="session")
def cluster() -> Iterator["virtual.Cluster"]:
    """A Slurm with three nodes; skips where none can be."""
    if reason := virtual.missing():
        pytest.skip(reason)
    with virtual.Cluster(node_count=3) as started:
        yield started


@pytest.fixture(scope="session")
def wait_for() -> Callable[..., bool]:
    """`wait_for(condition, seconds)`: whether it became true in time."""
    return virtual.wait_for


@pytest.fixture
def submit(cluster) -> Iterator[Callable[..., str]]:
    """`submit(run_dir, *overrides, **environment)`: submit slurm/train.sbatch on two nodes; jobs end with the test."""
    numbers = []

    def submit(run_dir: Path, *overrides: str, options: tuple[str, ...] = (), **environment: str) -> str:
        settings = {"MEDU1_SCRATCH": str(cluster.scratch), "MEDU1_INTERFACE": "eth0", "MEDU1_PYTHON": sys.executable}
        run_dir.parent.mkdir(parents=True, exist_ok=True)
        number = cluster.run(
            *("sbatch", "--parsable", "--nodes=2", "--cpus-per-task=2", "--mem=12000", "--time=60"),
            *(f"--output={run_dir}.out", *options, str(ROOT / "slurm" / "train.sbatch")),
            *(*TWO_NODES, f"run_dir='{run_dir}'", *overrides),
            **(settings | environment),
        )
        numbers.append(number)
        return number

    yield submit
    for number in numbers:
        cluster.run("scancel", number)
    virtual.wait_for(lambda: not cluster.run("squeue", "--noheader"), 300)
