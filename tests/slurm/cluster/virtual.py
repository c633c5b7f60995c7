"""A real Slurm on one machine: slurmctld, munge, and nodes in network, UTS, PID and IPC namespaces of their own.

Each node has its own address, host name, process table, scratch folder and /dev/shm, so that killing one is a true
crash and what a job leaves behind can be seen; the rest of the file system is shared, as it is on a cluster.
    python tests/slurm/cluster/virtual.py --nodes 3     starts one and waits for Ctrl-C
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jinja2
import psutil

HERE = Path(__file__).parent
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged", "ip", "nsenter", "unshare")
NODE_PORT = 17000  # of slurmd, on the nodes' own networks
PACKAGES = "slurmctld slurmd slurm-client munge iproute2"


def missing() -> str | None:
    """Why no virtual cluster can be started here, in one sentence, or None."""
    if os.geteuid() != 0:
        return "only root may make the namespaces of the virtual nodes"
    if absent := [program for program in PROGRAMS if shutil.which(program) is None]:
        return f"{', '.join(absent)} missing: apt-get install --no-install-recommends {PACKAGES}"
    probe = ["unshare", "--net", "--uts", "--ipc", "--mount", "--pid", "--fork", "--mount-proc", "true"]
    done = subprocess.run(probe, capture_output=True, text=True)
    if done.returncode:
        return f"this machine allows no namespaces ({done.stderr.strip()})"
    # In a namespace of its own, which ends with the command: another run may be looking at the same moment.
    probe = ["unshare", "--net", "ip", "link", "add", "probe", "type", "veth", "peer", "name", "probe2"]
    done = subprocess.run(probe, capture_output=True, text=True)
    if done.returncode:
        return f"this machine allows no virtual network ({done.stderr.strip()})"
    return None


def wait_for(condition: Callable[[], object], seconds: float, interval_s: float = 0.2) -> bool:
    """Whether the condition became true within that time."""
    deadline = time.monotonic() + seconds
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(interval_s)
    return bool(holds)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def _claim_number() -> int:
    """A number that no other cluster on this machine has; the bridge that is made for it keeps it until `stop`."""
    for number in random.SystemRandom().sample(range(1, 251), 250):
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip("link", "add", _bridge(number), "type", "bridge")
            return number
    raise RuntimeError("no bridge could be made for a virtual network")


def _bridge(number: int) -> str:
    return f"medu1br{number}"


@dataclass
class Node:
    """One virtual node; `process` is what holds its namespaces, and all of the node dies with it."""

    name: str
    address: str
    namespace: str
    process: subprocess.Popen[bytes] | None = None


class Cluster:
    """A Slurm with `node_count` virtual nodes, and the ways to use and to break it.

    Args:
        node_count: how many nodes.
        gpus: fake GPUs per node that Slurm counts; nothing can compute on them.
        node_timeout_s: SlurmdTimeout, after which a silent node counts as down.
    """

    def __init__(self, node_count: int, gpus: int = 0, node_timeout_s: int = 30) -> None:
        # Clusters of several test runs live side by side on one machine. The number tells their networks and ports
        # apart, the folder all else.
        self._number = _claim_number()
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.scratch = self.folder / "scratch"
        self.conf = self.folder / "slurm.conf"
        self._gpus = gpus
        self._daemons: list[subprocess.Popen[bytes]] = []
        self.nodes = {
            f"node{i}": Node(f"node{i}", f"10.77.{self._number}.{i}", f"medu1-{self._number}-{i}")
            for i in range(1, node_count + 1)
        }
        self._node_timeout_s = node_timeout_s

    # ------------------------------------------------------------------ start and stop

    def start(self) -> None:
        """Bring everything up; returns when all nodes are idle."""
        for name in ("munge", "state", "spool", "log", "scratch"):
            (self.folder / name).mkdir(mode=0o755)
        self._make_network()
        self._configure()
        self._start_munge()
        self._daemons.append(self._spawn("slurmctld", "-D", "-c", "-f", str(self.conf)))
        for name in self.nodes:
            self.up(name)
        if not wait_for(lambda: self._states() == {"idle"}, 120):
            raise RuntimeError(f"nodes are {self._states()} after 120 s: {self.log('slurmctld')[-2000:]}")

    def stop(self) -> None:
        """End every job, node and daemon, and remove the folder."""
        # A Slurm that did not start can't be asked, and all else is to go.
        with contextlib.suppress(subprocess.SubprocessError, RuntimeError):
            self.run("scancel", "--user=root")
            wait_for(lambda: not self.run("squeue", "-h"), 60)
        for name, node in self.nodes.items():
            if node.process is not None:
                self.kill(name)
            subprocess.run(["ip", "netns", "del", node.namespace], capture_output=True)
        subprocess.run(["ip", "link", "del", _bridge(self._number)], capture_output=True)
        for daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "Cluster":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log" / f"{Path(command[0]).name}.out").open("ab") as out:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, env=self.environment
            )

    def _make_network(self) -> None:
        bridge = _bridge(self._number)
        _ip("addr", "add", f"10.77.{self._number}.254/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for i, node in enumerate(self.nodes.values(), 1):
            outside = f"medu1v{self._number}x{i}"
            _ip("netns", "add", node.namespace)
            _ip("link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", node.namespace)
            _ip("link", "set", outside, "master", bridge, "up")
            _ip("-n", node.namespace, "addr", "add", f"{node.address}/24", "dev", "eth0")
            _ip("-n", node.namespace, "link", "set", "eth0", "up")
            _ip("-n", node.namespace, "link", "set", "lo", "up")

    def _configure(self) -> None:
        template = jinja2.Template((HERE / "slurm.conf.j2").read_text(), undefined=jinja2.StrictUndefined)
        text = template.render(
            folder=self.folder,
            controller_host=socket.gethostname(),
            controller_address=f"10.77.{self._number}.254",
            # Below the range from which the kernel gives ports to everybody.
            controller_port=NODE_PORT + self._number,
            node_port=NODE_PORT,
            node_timeout_s=self._node_timeout_s,
            nodes=list(self.nodes.values()),
            gpus=self._gpus,
        )
        self.conf.write_text(text + "\n")
        devices = self.folder / "devices"
        devices.mkdir()
        for i in range(self._gpus):
            os.mknod(devices / f"gpu{i}", 0o666 | 0o020000, os.makedev(1, 3))
        # Without Flags= Slurm exports CUDA_VISIBLE_DEVICES and ROCR_VISIBLE_DEVICES both, as many sites do.
        file = f"Name=gpu File={devices}/gpu[0-{self._gpus - 1}]\n" if self._gpus else ""
        (self.folder / "gres.conf").write_text(f"AutoDetect=off\n{file}")
        # Only so slurmd 22.05 starts where no cgroup file system is mounted.
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        hosts = ["127.0.0.1 localhost", f"10.77.{self._number}.254 {socket.gethostname()}"]
        hosts += [f"{node.address} {node.name}" for node in self.nodes.values()]
        (self.folder / "hosts").write_text("\n".join(hosts) + "\n")
        for name in self.nodes:
            (self.folder / "nodes" / name / "scratch").mkdir(parents=True)
            (self.folder / "spool" / name).mkdir()

    def _start_munge(self) -> None:
        folder = self.folder / "munge"
        (folder / "key").write_bytes(os.urandom(128))
        (folder / "key").chmod(0o400)
        options = {"key-file": "key", "socket": "socket", "log-file": "log", "pid-file": "pid", "seed-file": "seed"}
        arguments = [f"--{option}={folder / file}" for option, file in options.items()]
        self._daemons.append(self._spawn("munged", "--foreground", "--force", *arguments))
        if not wait_for((folder / "socket").exists, 10):
            raise RuntimeError(f"munged did not start: {self.log('munged')}")

    def _states(self) -> set[str]:
        done = subprocess.run(["sinfo", "-h", "-N", "-o", "%t"], env=self.environment, capture_output=True, text=True)
        return set(done.stdout.split())

    # ------------------------------------------------------------------ use

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment with the way to this Slurm, and without a trace of another one's job."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "RAY_", "MEDU1_"))}
        return kept | {"SLURM_CONF": str(self.conf)}

    def run(self, *command: str, timeout: float = 180, **more: str) -> str:
        """What a command of Slurm prints; `more` is put into its environment."""
        for _ in range(3):
            done = subprocess.run(
                command, env=self.environment | more, capture_output=True, text=True, timeout=timeout, cwd=self.folder
            )
            # Slurm's commands die of SIGPIPE if a busy controller closes the connection before they have written.
            if done.returncode != -signal.SIGPIPE:
                break
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def job(self, number: str) -> dict[str, str]:
        """What `scontrol show job` says, key by key."""
        fields = self.run("scontrol", "show", "job", "-o", number).split()
        return dict(field.split("=", 1) for field in fields if "=" in field)

    def state(self, number: str) -> str:
        return self.job(number)["JobState"]

    def log(self, daemon: str) -> str:
        """What a daemon has written."""
        files = sorted((self.folder / "log").glob(f"{daemon}*"))
        return "\n".join(file.read_text(errors="replace") for file in files)

    # ------------------------------------------------------------------ nodes

    def up(self, name: str) -> None:
        """Start a node, with an empty scratch folder."""
        node = self.nodes[name]
        shutil.rmtree(self.folder / "nodes" / name / "scratch")
        (self.folder / "nodes" / name / "scratch").mkdir()
        inside = [str(HERE / "node.sh"), name, str(self.folder), str(self.scratch), str(self.conf)]
        # Not `ip netns exec`: it mounts /sys anew, which breaks slurmd.
        enter = ["nsenter", f"--net=/run/netns/{node.namespace}"]
        enter += ["unshare", "--uts", "--ipc", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        node.process = self._spawn(*enter, "bash", *inside)

    def kill(self, name: str) -> None:
        """Crash a node: all of its processes are gone at once."""
        node = self.nodes[name]
        assert node.process is not None
        node.process.kill()
        node.process.wait()
        node.process = None

    def _pid_inside(self, name: str) -> int:
        process = self.nodes[name].process
        assert process is not None
        return psutil.Process(process.pid).children()[0].pid

    def on(self, name: str, *command: str, check: bool = True, **more: str) -> str:
        """What a command prints on a node."""
        enter = ["nsenter", f"--target={self._pid_inside(name)}", "--net", "--uts", "--ipc", "--mount", "--pid"]
        done = subprocess.run(
            [*enter, *command], env=self.environment | more, capture_output=True, text=True, timeout=180
        )
        if check and done.returncode:
            raise RuntimeError(f"{name}: {' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
        return done.stdout.strip() if check else done.stdout + done.stderr

    def processes(self, name: str) -> list[str]:
        """Command lines of a node's processes that are not Slurm's or the node's own."""
        own = ("slurmd -D", "slurmd:", "slurmstepd", str(HERE / "node.sh"))
        found = []
        for process in psutil.Process(self._pid_inside(name)).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                line = " ".join(process.cmdline())
                if process.status() != psutil.STATUS_ZOMBIE and not any(text in line for text in own):
                    found.append(line)
        return found

    def ports(self, name: str) -> list[tuple[str, int]]:
        """Addresses and ports on which a node listens, slurmd's left out."""
        lines = self.on(name, "ss", "--no-header", "--listening", "--tcp", "--numeric").splitlines()
        found = [line.split()[3].rpartition(":") for line in lines]
        return sorted((address, int(port)) for address, _, port in found if port != str(NODE_PORT))

    def leftovers(self, name: str) -> dict[str, list[str]]:
        """What a job has left on a node: processes, open ports, files in scratch and shared memory."""
        files = [str(path) for path in (self.folder / "nodes" / name / "scratch").iterdir()]
        found = {
            "processes": self.processes(name),
            "ports": [f"{address}:{port}" for address, port in self.ports(name)],
            "files": files + self.on(name, "find", "/dev/shm", "-mindepth", "1").split(),
        }
        return {what: things for what, things in found.items() if things}

    def clean(self, seconds: float = 60) -> dict[str, dict[str, list[str]]]:
        """Leftovers of all nodes that are up, once nothing more goes away by itself; empty where all is clean."""

        def left() -> dict[str, dict[str, list[str]]]:
            found = {name: self.leftovers(name) for name, node in self.nodes.items() if node.process is not None}
            return {name: things for name, things in found.items() if things}

        wait_for(lambda: not left(), seconds, 1.0)
        return left()


def main() -> None:
    """Start a cluster and keep it until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--nodes", type=int, default=3, help="number of virtual nodes")
    parser.add_argument("--gpus", type=int, default=0, help="fake GPUs per node, for Slurm to count")
    arguments = parser.parse_args()
    if reason := missing():
        parser.error(reason)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Cluster(arguments.nodes, arguments.gpus) as cluster:
        shown = {"SLURM_CONF": str(cluster.conf), "scratch": str(cluster.scratch)}
        print(json.dumps(shown), flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
