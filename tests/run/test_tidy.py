"""What the processes of a run leave in shared memory goes with them."""

import os
import subprocess
import sys
import time
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import pytest

from verl_medu1.run.tidy import SHARED_MEMORY, clear_shared_memory

HOLDER = """
import signal, time
from multiprocessing.shared_memory import SharedMemory
signal.signal(signal.SIGTERM, signal.SIG_IGN)
memory = SharedMemory(create=True, size=4096)
print(memory.name, flush=True)
time.sleep(60)
"""
PROGRAM = f"""
import subprocess, sys
from verl_medu1.run.tidy import adopt_orphans, end_descendants
adopt_orphans()
holder = subprocess.Popen([sys.executable, "-c", {HOLDER!r}], stdout=subprocess.PIPE, text=True)
print(holder.stdout.readline().strip(), end_descendants())
"""


def test_shared_memory_of_a_killed_process_is_removed():
    """The weights of a sync that broke off, for example: whoever made the segment is killed before it removes it."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    name, given_up = done.stdout.split()
    assert given_up == "0"
    assert not Path("/dev/shm", name).exists(), done.stderr


# A process that holds a semaphore and a segment, and whose resource tracker is killed with it.
WITHOUT_TRACKER = """
import os, signal
from multiprocessing import get_context, resource_tracker
from multiprocessing.shared_memory import SharedMemory
semaphore = get_context("spawn").Semaphore()
memory = SharedMemory(create=True, size=4096)
print(semaphore._semlock.name.lstrip("/"), memory.name, flush=True)
os.kill(resource_tracker._resource_tracker._pid, signal.SIGKILL)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def leftovers():
    """Files that such a process has left."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_TRACKER], capture_output=True, text=True, timeout=60)
    semaphore, memory = done.stdout.split()
    files = [SHARED_MEMORY / f"sem.{semaphore}", SHARED_MEMORY / memory]
    assert all(file.exists() for file in files)
    yield files
    for file in files:
        file.unlink(missing_ok=True)


def test_what_no_resource_tracker_removes_is_removed(leftovers):
    clear_shared_memory()
    assert not any(file.exists() for file in leftovers)


def test_a_node_of_a_job_is_cleared_by_a_command(leftovers):
    subprocess.run([sys.executable, "-m", "verl_medu1.run.tidy", "--since", str(int(time.time()) - 60)], check=True)
    assert not any(file.exists() for file in leftovers)


def test_what_is_older_than_the_run_stays(leftovers):
    clear_shared_memory(since=time.time() + 1)
    assert all(file.exists() for file in leftovers)


def test_what_is_in_use_or_has_another_name_stays():
    used = SharedMemory(create=True, size=4096)
    other = SHARED_MEMORY / f"another-{os.getpid()}"
    other.touch()
    try:
        clear_shared_memory()
        assert (SHARED_MEMORY / used.name).exists() and other.exists()
    finally:
        used.close()
        used.unlink()
        other.unlink()
