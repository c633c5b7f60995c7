"""Finds which part of a run has died: a Ray actor on any node, or one of Ray's or vLLM's own processes on this node.

When a part is gone, verl waits forever: for responses that nobody generates, or in a collective that one rank has left.
Ray's public list of actors needs the dashboard, which a run does not start, so the table behind it is read instead.
"""

import os
import re
import sys
import time
from contextlib import suppress
from typing import Any

import psutil

# Class and name of an actor in verl 0.9.1 and TransferQueue -> what the user is told.
_PARTS = (
    (r"TaskRunner.*", "trainer"),
    (r".* vllm_server_(\d+)_0", r"vLLM server \1"),
    (r".* vllm_server_(\d+)_(\d+)", r"vLLM server \1 on its node \2"),
    (r".* vllm_server_reward_(\d+)_\d+", r"vLLM server \1 of the pool of reward models"),
    (r".* reward_loop_worker_(\d+)", r"reward worker \1"),
    (r".* agent_loop_worker_(\d+)_\w+", r"agent loop worker \1"),
    (r".* TransferQueueStorageUnit#(\d+)", r"TransferQueue storage unit \1"),
    (r"TransferQueueController.*", "TransferQueue controller"),
)
_TRAINING_WORKER = re.compile(r".*WorkerDict_(\d+):(\d+)")  # placement group (node) and rank on it

# Processes that are not actors: Ray's own, and those in which vLLM's engine runs, separate from its server.
_PROCESSES = {"raylet": "Ray's raylet", "gcs_server": "Ray's GCS server"}
_ENGINE = "VLLM::"
# Children of the driver.
_CHILDREN = _PROCESSES | {"medu1-forks": "the process from which workers are forked"}


def part_name(class_name: str, name: str, workers_per_node: int) -> str:
    """Return an actor's role in the run.

    Args:
        class_name: the actor's class, as Ray shows it.
        name: the name it was started with; may be empty.
        workers_per_node: `trainer.n_gpus_per_node`, needed to compute a worker's global rank.

    Example:
        >>> part_name("WorkerDict", "kX3f0aWorkerDict_1:3", workers_per_node=8)
        'actor worker rank 11'
        >>> part_name("vLLMHttpServer", "vllm_server_0_0", workers_per_node=8)
        'vLLM server 0'
    """
    if found := _TRAINING_WORKER.fullmatch(name):
        return f"actor worker rank {int(found[1]) * workers_per_node + int(found[2])}"
    for pattern, part in _PARTS:
        if found := re.fullmatch(pattern, f"{class_name} {name}"):
            return found.expand(part)
    return f"Ray actor {name or class_name}"


def _reason(death: Any) -> str | None:
    """Return why an actor died, given Ray's `ActorDeathCause`; None if it was ended on purpose or raised an error."""
    if death.HasField("oom_context"):
        return "ended by Ray because its node was short of memory"
    if not death.HasField("actor_died_error_context"):
        return None
    context = death.actor_died_error_context
    reasons = {
        context.WORKER_DIED: "its process was killed or crashed",
        context.OWNER_DIED: "its owner died",
        context.NODE_DIED: "its node was lost",
    }
    return reasons.get(context.reason)


def dead_actor(workers_per_node: int) -> str | None:
    """Describe the first actor of this process's Ray job that died, with process, node and reason; None if all live."""
    if "ray" not in sys.modules:  # importing Ray takes seconds, and without it there are no actors
        return None
    import ray
    from ray._private.state import actors

    if not ray.is_initialized():
        return None
    job = ray.JobID.from_hex(ray.get_runtime_context().get_job_id())
    dead = sorted(actors(job_id=job, actor_state_name="DEAD").values(), key=lambda actor: actor["EndTime"])
    for actor in dead:
        if reason := _reason(actor["DeathCause"]):
            part = part_name(actor["ActorClassName"], actor["Name"], workers_per_node)
            node = actor["DeathCause"].actor_died_error_context.node_ip_address
            return f"{part} (process {actor['Pid']}{' on ' * bool(node)}{node}) died, {reason}"
    return None


def dead_child(driver: int) -> str | None:
    """Describe a child of the driver that has died without the driver having noticed; None if there is none.

    The children are Ray's first processes and, on the CPU, the one from which Ray's workers are forked. While ray.init
    waits for such a process, it waits on if the process dies, up to 30 seconds for the GCS server.

    Args:
        driver: process ID.
    """
    with suppress(psutil.NoSuchProcess):
        for process in psutil.Process(driver).children():
            with suppress(psutil.NoSuchProcess):
                name = process.name()
                if name in _CHILDREN and process.status() == psutil.STATUS_ZOMBIE:
                    return f"{_CHILDREN[name]} (process {process.pid}) died"
    return None


class PartWatch:
    """Watches the parts of a run from its driver.

    Args:
        workers_per_node: `trainer.n_gpus_per_node`.
    """

    def __init__(self, workers_per_node: int) -> None:
        self._workers_per_node = workers_per_node
        self._seen: dict[int, str] = {}
        self._dead: str | None = None

    def look(self) -> str | None:
        """Describe the first part that has died since the start; return None if all are alive."""
        self._dead = self._dead or self._find()
        return self._dead

    def _find(self) -> str | None:
        if dead := dead_child(os.getpid()):
            return dead
        gone = self._gone_processes()
        of_ray = [part for name, part in gone if name in _PROCESSES]
        if of_ray:
            return of_ray[0]
        if gone:
            time.sleep(1.0)  # an engine also ends when its server dies; give Ray time to notice the server
        return dead_actor(self._workers_per_node) or next((part for _, part in gone), None)

    def last_look(self, patience_s: float = 3.0) -> str | None:
        """Repeat `look` for a while after an error: Ray may notice a death later than those who needed the part."""
        deadline = time.monotonic() + patience_s
        while not (part := self.look()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return part

    def _gone_processes(self) -> list[tuple[str, str]]:
        """Return the processes that have gone since the last look: name, and the beginning of a sentence."""
        running = {}
        for process in psutil.Process(os.getpid()).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                name = process.name()
                if not (name in _PROCESSES or name.startswith(_ENGINE)) or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                # What a process starts has its name for a moment, between fork and exec.
                if not (parent := process.parent()) or parent.name() != name:
                    # A dying process has lost its command line, and the kernel keeps only 15 characters of a name.
                    running[process.pid] = self._seen.get(process.pid, name)
        gone = [
            (name, f"{_PROCESSES.get(name, f'vLLM engine, {name}')} (process {pid}) died")
            for pid, name in self._seen.items()
            if pid not in running
        ]
        self._seen = running
        return gone
