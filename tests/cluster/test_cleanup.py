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
host=node1 SLURM_PROCID=0 MEDU1_ATTEMPT_DIR=${2:-$1} ended_file=${2:-$1}/ended driver_pid=""
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
        pytest.param("sleep 307 &", 3, id="ends when told to"),
        pytest.param(f'bash -c "{DEAF}" | {{ read -r; cat >/dev/null; }} & sleep 1', 9, id="is deaf"),
        pytest.param('env -u MEDU1_NODE_DIR sleep 307 3>"$node_dir/tmp/open" &', 3, id="has a file there open"),
    ],
)
def test_what_runs_there_is_ended(folder, program, seconds):
    assert seconds_to_end(folder, program) < seconds
    left = [process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == ["sleep", "307"]]
    assert not left and not any(
        "trap '' TERM" in " ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])
    )


def test_another_jobs_processes_go_on(folder):
    other = subprocess.Popen(["sleep", "60"], env=os.environ | {"MEDU1_NODE_DIR": str(folder / "job.1")})
    try:
        seconds_to_end(folder, "sleep 307 &")
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_where_the_attempts_disk_is_full_the_node_is_clean_all_the_same(folder, tmp_path):
    """It takes no inode more: neither Ray's logs nor the files that say that the node has ended can be written."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=1", "full", disk], capture_output=True).returncode:
        pytest.skip("a small disk needs the right to mount one")
    try:
        log = 'mkdir -p "$ray_dir/session_latest/logs"; echo text >"$ray_dir/session_latest/logs/a"; sleep 307 &'
        command = ["bash", "-c", f"{PROGRAM}{log}\nexit 7", "node.sh", str(folder), str(disk)]
        done = subprocess.run(command, env=os.environ | {"LIB": str(LIB)}, capture_output=True, text=True, timeout=60)
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
    assert done.returncode == 7 and "node1 is clean, exit code 7" in done.stdout, done.stderr
    assert "No space left on device" in done.stderr and list(folder.iterdir()) == []
    assert not any(process.info["cmdline"] == ["sleep", "307"] for process in psutil.process_iter(["cmdline"]))
