"""What a node leaves behind when its part of a job ends, and how long that takes."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

LIB = Path(__file__).resolve().parents[2] / "slurm" / "lib"
PROGRAM = """
set -euo pipefail
source "$LIB/common.sh"
source "$LIB/cleanup.sh"
host=node1 SLURM_PROCID=0 MEDU1_ATTEMPT_DIR=$1 ended_file=$1/ended driver_pid=""
MEDU1_SCRATCH=$1 node_dir=$1/job.0 MEDU1_NODE_DIR_PREFIX=$1/job.
make_node_dir
trap clean_up EXIT
"""
DEAF = "trap '' TERM; echo deaf; while :; do sleep 0.1; done"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose name is as short as Ray's sockets need it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        yield Path(name)


def seconds_to_end(folder: Path, program: str) -> float:
    """Run `program` as a part of node.sh; what it ends with is 7."""
    began = time.monotonic()
    command = ["bash", "-c", f"{PROGRAM}{program}\nexit 7", "node.sh", str(folder)]
    done = subprocess.run(command, env=os.environ | {"LIB": str(LIB)}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 7 and "node1 is clean, exit code 7" in done.stdout, done.stderr
    assert sorted(file.name for file in folder.iterdir()) == ["ended", "left-node1"]
    return time.monotonic() - began


def test_where_nothing_runs_it_takes_no_time(folder):
    assert seconds_to_end(folder, "") < 3


@pytest.mark.parametrize(
    ("program", "seconds"),
    [
        pytest.param("sleep 300 &", 3, id="ends when told to"),
        pytest.param(f'bash -c "{DEAF}" | {{ read -r; cat >/dev/null; }} & sleep 1', 9, id="is deaf"),
        pytest.param('env -u MEDU1_NODE_DIR sleep 300 3>"$node_dir/tmp/open" &', 3, id="has a file there open"),
    ],
)
def test_what_runs_there_is_ended(folder, program, seconds):
    assert seconds_to_end(folder, program) < seconds
    left = [process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == ["sleep", "300"]]
    assert not left and not any(
        "trap '' TERM" in " ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])
    )


def test_another_jobs_processes_go_on(folder):
    other = subprocess.Popen(["sleep", "60"], env=os.environ | {"MEDU1_NODE_DIR": str(folder / "job.1")})
    try:
        seconds_to_end(folder, "sleep 300 &")
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
