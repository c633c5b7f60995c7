"""What a node leaves behind when its part of a job ends, and how long it waits for it."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

LIB = Path(__file__).resolve().parents[2] / "slurm" / "lib"
PROGRAM = """
set -euo pipefail
source "$LIB/common.sh"
source "$LIB/cleanup.sh"
MEDU1_PYTHON=$PYTHON host=node1 SLURM_PROCID=0 MEDU1_ATTEMPT_DIR=${2:-$1} ended_file=${2:-$1}/ended driver_pid=""
MEDU1_SCRATCH=$1 node_dir=$1/job.0 MEDU1_NODE_DIR_PREFIX=$1/job.
make_node_dir
trap clean_up EXIT
"""
DEAF = "trap '' TERM; echo deaf; while :; do sleep 0.1; done"
# Counted is what the clean-up waits, not what it takes: that is the machine's, and what else works on it.
COUNT_SLEEP = """
sleep() { echo "$1" >>"$SLEPT"; command sleep "$1"; }
exit 7
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose name is as short as Ray's sockets need it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        yield Path(name)
    Path(f"{name}.slept").unlink(missing_ok=True)


def run(folder: Path, program: str, *more: object) -> subprocess.CompletedProcess[str]:
    """Run `program` as a part of node.sh; what it ends with is 7. All that it starts has the folder as THIS_TEST."""
    command = ["bash", "-c", f"{PROGRAM}{program}{COUNT_SLEEP}", "node.sh", folder, *more]
    environment = os.environ | {
        "LIB": str(LIB),
        "THIS_TEST": str(folder),
        "SLEPT": f"{folder}.slept",
        "PYTHON": sys.executable,
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 7 and "node1 is clean, exit code 7" in done.stdout, done.stderr
    return done


def seconds_waited(folder: Path, program: str) -> float:
    """How long the end of `program` waited for what it had started."""
    run(folder, program)
    assert sorted(file.name for file in folder.iterdir()) == ["ended", "left-node1"]
    slept = Path(f"{folder}.slept")
    return sum(map(float, slept.read_text().split())) if slept.exists() else 0.0


def running(folder: Path) -> list[list[str]]:
    """Command lines of this test's processes; another run of it may be at work beside it."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("THIS_TEST") == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.cmdline())
    return found


def test_where_nothing_runs_it_does_not_wait(folder):
    assert seconds_waited(folder, "") == 0


@pytest.mark.parametrize(
    ("program", "least", "most"),
    [
        pytest.param("sleep 307 &", 0, 5, id="ends when told to"),
        pytest.param(f'bash -c "{DEAF}" | {{ read -r; cat >/dev/null; }} & sleep 1', 5, 10, id="is deaf"),
        pytest.param('env -u MEDU1_NODE_DIR sleep 307 3>"$node_dir/tmp/open" &', 0, 5, id="has a file there open"),
    ],
)
def test_what_runs_there_is_ended(folder, program, least, most):
    assert least <= seconds_waited(folder, program) <= most
    assert running(folder) == []


def test_what_is_looked_for_is_seen(folder):
    """The test above could not fail otherwise."""
    with subprocess.Popen(["sleep", "307"], env=os.environ | {"THIS_TEST": str(folder)}) as process:
        assert running(folder) == [["sleep", "307"]]
        process.kill()


def test_another_jobs_processes_go_on(folder):
    other = subprocess.Popen(["sleep", "60"], env=os.environ | {"MEDU1_NODE_DIR": str(folder / "job.1")})
    try:
        run(folder, "sleep 307 &")
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
        done = run(folder, log, disk)
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
    assert "No space left on device" in done.stderr and list(folder.iterdir()) == []
    assert running(folder) == []


HOLD = """
import os, signal, time
from multiprocessing.resource_tracker import _resource_tracker
from multiprocessing.shared_memory import SharedMemory
memory = SharedMemory(create=True, size=9)
print(memory.name, flush=True)
os.kill(_resource_tracker._pid, signal.SIGKILL)
time.sleep(100)
"""


def test_shared_memory_of_a_killed_process_is_removed(folder):
    name = Path(f"{folder}.name")
    run(folder, f'"$PYTHON" -c "$3" >{name} & while [[ ! -s {name} ]]; do command sleep 0.1; done', folder, HOLD)
    assert not Path("/dev/shm", name.read_text().strip()).exists()
    name.unlink()
