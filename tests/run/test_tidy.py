"""What the processes of a run leave in shared memory goes with them."""

import subprocess
import sys
from pathlib import Path

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
