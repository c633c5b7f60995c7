"""A driver for job.sh that only looks at its cluster: says what it sees, then waits for a request to stop."""

import json
import os
import sys
import time
from pathlib import Path

import ray

from verl_medu1.exit import ExitCode
from verl_medu1.run_folder.stop_request import StopRequest

run_dir = Path(sys.argv[-1].removeprefix("run_dir=").strip("'"))
ray.init(logging_level="ERROR")
nodes = sorted(node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"])


@ray.remote(num_cpus=0, num_gpus=1)
class Worker:
    """Takes one worker slot, so that each node has one of these."""

    def where(self) -> dict[str, str]:
        """The node, its job and its folder for temporary files."""
        return {name: os.environ[name] for name in ("SLURMD_NODENAME", "SLURM_JOB_ID", "TMPDIR")}


workers = [Worker.remote() for _ in nodes]
seen = ray.get([worker.where.remote() for worker in workers])
(run_dir / "seen.json").write_text(json.dumps({"nodes": nodes, "workers": seen, "address": os.environ["RAY_ADDRESS"]}))
while not StopRequest(run_dir).take():
    time.sleep(0.2)
sys.exit(ExitCode.STOPPED)
