"""What a node of a job has, found without importing torch: it takes a second."""

import csv
import os
import platform
import runpy
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil

from verl_medu1.machine.gpus import GIB
from verl_medu1.machine.machine import has_apex
from verl_medu1.machine.processors import given_processors
from verl_medu1.verl_compat.versions import STACK, installed_version

# Ports of a job from MEDU1_PORT_BASE on (slurm/lib/ray.sh).
PORTS = 9
IMPORT_TIMEOUT_S = 120


@dataclass(frozen=True)
class GPUFacts:
    """A GPU as nvidia-smi shows it; memory in MiB."""

    name: str
    driver: str
    memory_mib: int
    capability: tuple[int, int]


@dataclass(frozen=True)
class Facts:
    """What a node has.

    Attributes:
        host: its name in Slurm.
        time: seconds since the epoch by its clock.
        gpus: those that the job has there.
        gpu_failure: why nvidia-smi, which is there, can't show any.
        packages: name -> version, None where it is missing; "Python" is among them.
        cuda: version of torch's CUDA, such as "13.0"; None for a build without.
        transformer_engine: None where it is not installed, "" where it can be imported, else why not.
        apex: NVIDIA Apex's kernels are there.
        interface, address: the network interface, and its IPv4 address; None where it has none.
        interfaces: those that have an IPv4 address.
        busy_ports: of the job's block, those that somebody listens on.
        run_dir: folder of the run, seen from there.
        run_dir_writable, scratch_writable: can be written to.
        run_dir_gib, scratch_gib, shm_gib: free space.
        memory_gib: memory that the job has.
        cpus: processors that the job has.
    """

    host: str
    time: float
    gpus: list[GPUFacts]
    gpu_failure: str | None
    packages: dict[str, str | None]
    cuda: str | None
    transformer_engine: str | None
    apex: bool
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
    """What this node has.

    Args:
        interface: between the nodes.
        run_dir: folder of the run, on a disk that all nodes see.
        scratch: folder on the node's own disk.
        port_base: first port of the job's block; None looks at none.

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
        transformer_engine=_transformer_engine(),
        apex=has_apex(),
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
    """This node's name in Slurm, or else the machine's."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def visible_gpus() -> tuple[list[GPUFacts], str | None]:
    """The GPUs that nvidia-smi shows, as many of them as CUDA_VISIBLE_DEVICES leaves, or what it says when it fails."""
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
    """As CUDA reads the variable: up to the first entry that names no GPU; an index, or a UUID."""
    if visible is None:
        return gpus, None
    entries = [entry.strip() for entry in visible.split(",")]
    if any(entry.startswith("MIG") for entry in entries):
        return [], f"CUDA_VISIBLE_DEVICES is {visible!r}, and MIG slices can't be trained on: ask for whole GPUs"
    chosen: list[GPUFacts] = []
    for entry in entries:
        # nvidia-smi may show only the job's own GPUs, whatever their UUID: those of a node are alike.
        index = len(chosen) if entry.startswith("GPU-") else int(entry) if entry.isdecimal() else -1
        if not 0 <= index < len(gpus):
            break
        chosen.append(gpus[index])
    return chosen, None


def torch_cuda() -> str | None:
    """Version of CUDA that torch was built with, from its version.py alone; None without torch or CUDA."""
    found = find_spec("torch")
    if found is None or found.origin is None:
        return None
    cuda: str | None = runpy.run_path(str(Path(found.origin).with_name("version.py")))["cuda"]
    return cuda


def _transformer_engine() -> str | None:
    """It is built against one torch and one CUDA, so that only importing it shows whether it works."""
    if find_spec("transformer_engine") is None:
        return None
    command = [sys.executable, "-c", "import transformer_engine.pytorch"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=IMPORT_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return f"not imported in {IMPORT_TIMEOUT_S} s"
    said = done.stderr.strip().splitlines() or [f"importing it ends with exit code {done.returncode}"]
    return said[-1] if done.returncode else ""


def _addresses() -> dict[str, str]:
    """Interface -> its first IPv4 address."""
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
            # Connections of an attempt before, which wait for their end, are in nobody's way.
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
    """The machine's, or what Slurm gave the job of it; Slurm's 0 is all."""
    total = psutil.virtual_memory().total
    given = int(os.environ.get("SLURM_MEM_PER_NODE") or 0) * 2**20
    return round(min(total, given or total) / GIB, 1)
