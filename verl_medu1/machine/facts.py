"""Collects what a node of a job has, without importing torch, in about a second."""

import csv
import os
import platform
import runpy
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil

from verl_medu1.machine.gpus import GIB
from verl_medu1.machine.machine import has_apex, has_flash_attention, transformer_engine_failure
from verl_medu1.machine.processors import given_processors
from verl_medu1.verl_compat.versions import STACK, installed_version

# Number of a job's ports, from MEDU1_PORT_BASE upwards (slurm/lib/ray.sh).
PORTS = 9


@dataclass(frozen=True)
class GPUFacts:
    """A GPU as shown by nvidia-smi; memory in MiB."""

    name: str
    driver: str
    memory_mib: int
    capability: tuple[int, int]


@dataclass(frozen=True)
class Facts:
    """What a node has.

    Attributes:
        host: its name in Slurm.
        time: seconds since the epoch on its clock.
        gpus: the job's GPUs on the node.
        gpu_failure: why nvidia-smi, though installed, fails; None if it does not.
        packages: name -> version, None if missing; includes "Python".
        cuda: version of torch's CUDA, such as "13.0"; None for a build without CUDA.
        transformer_engine: None if not installed, "" if it can be imported, otherwise the error.
        apex: whether NVIDIA Apex's kernels are installed.
        flash_attn: whether flash-attn is installed.
        interface: the network interface between the nodes.
        address: its IPv4 address; None if it has none.
        interfaces: all interfaces with an IPv4 address.
        busy_ports: ports of the job's block that are in use.
        run_dir: folder of the run, as the node sees it.
        run_dir_writable: whether the node can write to it.
        run_dir_gib: free space there.
        scratch: folder on the node's own disk.
        scratch_writable: whether the node can write to it.
        scratch_gib: free space there.
        shm_gib: free space in /dev/shm.
        memory_gib: the job's memory on the node.
        cpus: the job's processors on the node.
    """

    host: str
    time: float
    gpus: list[GPUFacts]
    gpu_failure: str | None
    packages: dict[str, str | None]
    cuda: str | None
    transformer_engine: str | None
    apex: bool
    flash_attn: bool
    interface: str
    address: str | None
    interfaces: list[str]
    busy_ports: list[int]
    run_dir: str
    run_dir_writable: bool
    run_dir_gib: float
    scratch: str
    scratch_writable: bool
    scratch_gib: float
    shm_gib: float
    memory_gib: float
    cpus: int


def node_facts(interface: str, run_dir: Path, scratch: Path, port_base: int | None = None) -> Facts:
    """Collect what this node has.

    Args:
        interface: the network interface between the nodes.
        run_dir: folder of the run, on a disk that all nodes see.
        scratch: folder on the node's own disk.
        port_base: first port of the job's block; None checks no ports.

    Example:
        >>> node_facts("lo", Path("/tmp"), Path("/tmp")).address
        '127.0.0.1'
    """
    addresses = _addresses()
    gpus, gpu_failure = visible_gpus()
    return Facts(
        host=host_name(),
        time=time.time(),
        gpus=gpus,
        gpu_failure=gpu_failure,
        packages={"Python": platform.python_version(), **{name: installed_version(name) for name in STACK}},
        cuda=torch_cuda(),
        transformer_engine=transformer_engine_failure(),
        apex=has_apex(),
        flash_attn=has_flash_attention(),
        interface=interface,
        address=addresses.get(interface),
        interfaces=sorted(addresses),
        busy_ports=[] if port_base is None else _busy(range(port_base, port_base + PORTS)),
        run_dir=str(run_dir),
        run_dir_writable=os.access(run_dir, os.W_OK),
        run_dir_gib=_free_gib(run_dir),
        scratch=str(scratch),
        scratch_writable=os.access(scratch, os.W_OK),
        scratch_gib=_free_gib(scratch),
        shm_gib=_free_gib(Path("/dev/shm")),
        memory_gib=_memory_gib(),
        cpus=given_processors(),
    )


def host_name() -> str:
    """Return this node's name in Slurm, or else its host name."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def visible_gpus() -> tuple[list[GPUFacts], str | None]:
    """Return the GPUs that nvidia-smi and CUDA_VISIBLE_DEVICES show, and nvidia-smi's message if it fails."""
    if shutil.which("nvidia-smi") is None:
        return [], None
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,compute_cap", "--format=csv,noheader,nounits"]
    done = subprocess.run(query, capture_output=True, text=True)
    if done.returncode:
        return [], " ".join((done.stdout + done.stderr).split())
    found = []
    for row in csv.reader(done.stdout.splitlines(), skipinitialspace=True):
        try:
            name, driver, memory, capability = row
            major, minor = capability.split(".")
            found.append(GPUFacts(name, driver, int(memory), (int(major), int(minor))))
        except ValueError:
            return [], f"it printed {', '.join(row)!r} for a GPU's name, driver, memory and compute capability"
    return _those_visible(found, os.environ.get("CUDA_VISIBLE_DEVICES"))


def _those_visible(gpus: list[GPUFacts], visible: str | None) -> tuple[list[GPUFacts], str | None]:
    """Apply CUDA_VISIBLE_DEVICES as CUDA does: entries are indices or UUIDs; the first invalid one ends the list."""
    if visible is None:
        return gpus, None
    entries = [entry.strip() for entry in visible.split(",")]
    if any(entry.startswith("MIG") for entry in entries):
        return [], f"CUDA_VISIBLE_DEVICES is {visible!r}, and MIG slices can't be trained on: ask for whole GPUs"
    chosen: list[GPUFacts] = []
    for entry in entries:
        # UUIDs are not looked up: nvidia-smi may show only the job's GPUs, and all GPUs of a node are alike.
        index = len(chosen) if entry.startswith("GPU-") else int(entry) if entry.isdecimal() else -1
        if not 0 <= index < len(gpus):
            break
        chosen.append(gpus[index])
    return chosen, None


def torch_cuda() -> str | None:
    """Read the CUDA version of the torch build from torch's version.py; None without torch or CUDA."""
    found = find_spec("torch")
    if found is None or found.origin is None:
        return None
    cuda: str | None = runpy.run_path(str(Path(found.origin).with_name("version.py")))["cuda"]
    return cuda


def _addresses() -> dict[str, str]:
    """Return interface -> its first IPv4 address."""
    found: dict[str, str] = {}
    for name, addresses in psutil.net_if_addrs().items():
        for address in addresses:
            if address.family == socket.AF_INET:
                found.setdefault(name, address.address)
    return found


def _busy(ports: Sequence[int]) -> list[int]:
    busy = []
    for port in ports:
        with socket.socket() as probe:
            # Connections of an earlier attempt in TIME_WAIT do not count as in use.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError:
                busy.append(port)
    return busy


def _free_gib(folder: Path) -> float:
    with suppress(FileNotFoundError):
        return round(shutil.disk_usage(folder).free / GIB, 2)
    return 0.0


def _memory_gib() -> float:
    """Return the machine's memory, or what Slurm gave the job of it; in Slurm, 0 means all."""
    total = psutil.virtual_memory().total
    given = int(os.environ.get("SLURM_MEM_PER_NODE") or 0) * 2**20
    return round(min(total, given or total) / GIB, 1)
