"""Sender and receiver of new weights agree on a socket, which is in the run's own temporary folder."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed")

# Both sides of verl, in a process that has loaded the plugin as verl does.
BOTH = """
import verl
from types import SimpleNamespace
from verl.workers.rollout.vllm_rollout.utils import vLLMColocateWorkerExtension
from verl.workers.rollout.vllm_rollout import vllm_rollout
worker = SimpleNamespace(model_runner=None, local_rank=0)
print("socket", vLLMColocateWorkerExtension._get_zmq_handle(worker))
print("socket", "own" if hasattr(vllm_rollout.ServerAdapter.__init__, "__wrapped__") else "shared")
"""


def test_it_is_in_the_runs_folder(tmp_path):
    environment = os.environ | {"TMPDIR": str(tmp_path), "VERL_RAY_JOB_ID": "01000000"}
    done = subprocess.run(
        [sys.executable, "-c", BOTH], env=environment, capture_output=True, text=True, timeout=100, check=True
    )
    said = [line for line in done.stdout.splitlines() if line.startswith("socket")]
    assert said == [f"socket ipc://{tmp_path}/rl-colocate-zmq-01000000-replica-0-rank-0.sock", "socket own"]
