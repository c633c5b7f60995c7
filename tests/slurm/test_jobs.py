"""Jobs on a real Slurm, their Ray clusters real, their driver one that only looks around."""

import json
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1800)]
LOOK = str(Path(__file__).parent / "looking_driver.py")
NODES = ["node1", "node2"]
CONNECT = "import ray, sys; ray.init(address=sys.argv[1], logging_level='ERROR'); print(len(ray.nodes()), 'nodes')"
OUTER_JOB = {
    "SLURM_MEM_PER_CPU": "1024",
    "SLURM_MEM_PER_GPU": "10",
    "SLURM_CPUS_PER_TASK": "64",
    "SLURM_CONSTRAINT": "nowhere",
    "SLURM_ACCTG_FREQ": "none",
    "SLURM_RESTART_COUNT": "30",
    "SLURM_HET_SIZE": "2",
}
END_S = 600  # ends a wait for what will not come, also where a second such run works on the machine
CLIENT_SERVER = 7  # its port's place in the job's block (slurm/lib/ray.sh)


@pytest.fixture
def run_dirs(tmp_path) -> Iterator[list[Path]]:
    yield [tmp_path / "first", tmp_path / "second"]


@pytest.fixture
def apptainer(tmp_path) -> str:
    """A PATH with a double of Apptainer: starts no container, runs its command where Slurm is out of reach."""
    double = tmp_path / "bin" / "apptainer"
    double.parent.mkdir()
    double.write_text('#!/bin/bash\nshift 7\nunset SLURM_CONF\nexec "$@"\n')
    double.chmod(0o755)
    return f"{double.parent}:{os.environ['PATH']}"


def attempt(run_dir: Path, number: int = 0) -> dict[str, object]:
    return json.loads((run_dir / "attempts" / f"{number:03d}" / "attempt.json").read_text())


def everything(run_dir: Path) -> str:
    """All that a job has written, for the message of a test that fails."""
    files = [run_dir.with_name(f"{run_dir.name}.out"), *sorted(run_dir.glob("attempts/*/*.log"))]
    return "\n".join(f"--- {file}\n{file.read_text()[-2000:]}" for file in files if file.exists())


def test_two_jobs_on_the_same_nodes_do_not_meet(cluster, submit, wait_for, run_dirs, apptainer):
    first = submit(run_dirs[0], MEDU1_DRIVER=LOOK)
    second = submit(run_dirs[1], MEDU1_DRIVER=LOOK, MEDU1_CONTAINER="apptainer", MEDU1_IMAGE="a.sif", PATH=apptainer)
    seen_files = [run_dir / "seen.json" for run_dir in run_dirs]
    assert wait_for(lambda: all(file.exists() and file.read_text() for file in seen_files), END_S), "\n".join(
        map(everything, run_dirs)
    )
    seen = [json.loads(file.read_text()) for file in seen_files]
    for number, one in zip((first, second), seen, strict=True):
        assert one["nodes"] == NODES
        assert sorted(worker["SLURMD_NODENAME"] for worker in one["workers"]) == NODES
        assert {worker["SLURM_JOB_ID"] for worker in one["workers"]} == {number}
    assert seen[0]["address"] != seen[1]["address"]
    assert {worker["TMPDIR"] for worker in seen[0]["workers"]}.isdisjoint(
        worker["TMPDIR"] for worker in seen[1]["workers"]
    )

    # Who has no token, or another job's, is refused; who has it comes in.
    address = seen[0]["address"]
    tokens = [run_dir / "attempts" / "000" / "ray_token" for run_dir in run_dirs]
    assert tokens[0].stat().st_mode & 0o777 == 0o600
    for token, enters in ((None, False), (tokens[1], False), (tokens[0], True)):
        environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)} if token else {}
        host, port = address.split(":")
        # The client gives up after half a minute: one refusal will do.
        client = [f"ray://{host}:{int(port) + CLIENT_SERVER}"] if token != tokens[1] else []
        for door in (address, *client):
            connect = partial(cluster.on, "node2", sys.executable, "-c", CONNECT, door, check=False, **environment)
            said = connect()
            # Ray starts a process for each client; on a loaded machine one has died. Another client gets another.
            if "Starting Ray client server failed" in said:
                logs = sorted((cluster.folder / "nodes" / "node1" / "scratch").rglob("ray_client_server_*.err"))
                print(*(f"--- {log}\n{log.read_text()[-2000:]}" for log in logs), sep="\n")
                said = connect()
            assert ("2 nodes" in said) == enters, (door, said)
    # What is not gRPC with the token listens on the job's network or on this machine only.
    for name in NODES:
        anywhere = {port % 10 for host, port in cluster.ports(name) if host in ("*", "0.0.0.0") and port < 20000}
        assert anywhere <= {0, 1, 2, 4}, cluster.ports(name)

    # Cancelled: one is gone from all nodes, the other does not notice.
    cluster.run("scancel", second)
    assert wait_for(lambda: attempt(run_dirs[1])["ended"], END_S), everything(run_dirs[1])
    assert "cancelled" in str(attempt(run_dirs[1])["reason"])
    assert cluster.state(first) == "RUNNING"

    # A worker dies: the job ends at once, and says which.
    cluster.on("node2", "pkill", "-KILL", "raylet")
    assert wait_for(lambda: cluster.state(first) == "FAILED", END_S), everything(run_dirs[0])
    assert "Ray on node2 ended" in str(attempt(run_dirs[0])["reason"]), everything(run_dirs[0])
    assert list((run_dirs[0] / "attempts" / "000" / "ray-logs-node2").iterdir()) and not tokens[0].exists()
    assert cluster.clean() == {}


def test_the_time_limit_stops_the_driver_whose_exit_code_is_the_jobs(cluster, submit, wait_for, tmp_path):
    run_dir = tmp_path / "run"
    # Slurm looks twice a minute, and signals rather early than late.
    limit = ("--time=5", "--signal=B:USR1@240")
    number = submit(run_dir, options=limit, MEDU1_DRIVER=LOOK, MEDU1_MAX_REQUEUES="0")
    assert wait_for(lambda: cluster.state(number) == "FAILED", END_S), everything(run_dir)
    assert cluster.job(number)["ExitCode"] == "85:0" and attempt(run_dir)["exit_code"] == 85
    assert "MEDU1_MAX_REQUEUES is 0" in str(attempt(run_dir)["reason"])
    assert cluster.clean() == {}


def test_a_node_that_fails_the_preflight_is_named(cluster, submit, wait_for, tmp_path):
    run_dir = tmp_path / "run"
    cluster.on("node2", "mount", "-t", "tmpfs", "-o", "size=1m", "full", str(cluster.scratch))
    try:
        number = submit(run_dir, MEDU1_DRIVER=LOOK)
        assert wait_for(lambda: cluster.state(number) == "FAILED", END_S), everything(run_dir)
        assert "node2" in str(attempt(run_dir)["reason"]) and "node1" not in str(attempt(run_dir)["reason"])
        assert cluster.job(number)["ExitCode"] == "2:0"
        assert cluster.clean() == {}
    finally:
        cluster.on("node2", "umount", str(cluster.scratch))


def test_a_folder_that_a_node_does_not_see_is_told(cluster, submit, wait_for, tmp_path):
    run_dir = tmp_path / "run"
    cluster.on("node2", "mount", "-t", "tmpfs", "another", str(tmp_path))
    try:
        number = submit(run_dir, MEDU1_DRIVER=LOOK)
        assert wait_for(lambda: cluster.state(number) == "FAILED", END_S), everything(run_dir)
        assert cluster.job(number)["ExitCode"] == "2:0"
        assert "and node2 can't see what node1 writes there" in str(attempt(run_dir)["reason"])
    finally:
        cluster.on("node2", "umount", str(tmp_path))


def test_one_node_alone_has_no_such_interface(cluster, submit, wait_for, tmp_path):
    run_dir = tmp_path / "run"
    cluster.on("node1", "ip", "link", "add", "ib7", "type", "veth", "peer", "name", "ib8")
    try:
        cluster.on("node1", "ip", "addr", "add", "10.99.0.1/24", "dev", "ib7")
        number = submit(run_dir, MEDU1_DRIVER=LOOK, MEDU1_INTERFACE="ib7")
        assert wait_for(lambda: cluster.state(number) == "FAILED", END_S), everything(run_dir)
        assert cluster.job(number)["ExitCode"] == "2:0", everything(run_dir)
        assert str(attempt(run_dir)["reason"]).startswith("MEDU1_INTERFACE is ib7, and node2 has no IPv4 address there")
    finally:
        cluster.on("node1", "ip", "link", "delete", "ib7")


def test_a_node_that_is_not_heard_of_is_left_out(cluster, submit, wait_for, tmp_path):
    """Slurm notices nothing here: its part of the node is well."""
    run_dir, python = tmp_path / "run", tmp_path / "python"
    silent = "if [[ $SLURMD_NODENAME == node2 && $* == *facts* ]]; then sleep 3600; fi"
    python.write_text(f'#!/bin/bash\n{silent}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    number = submit(run_dir, MEDU1_DRIVER=LOOK, MEDU1_PYTHON=str(python), MEDU1_NODE_TIMEOUT_S="30")
    assert wait_for(lambda: (run_dir / "attempts" / "001" / "attempt.json").exists(), END_S), everything(run_dir)
    assert attempt(run_dir)["reason"] == "lost node2: after 30 s nothing is heard of node2"
    assert attempt(run_dir, 1)["nodes"] == ["node1", "node3"] and cluster.job(number)["ExcNodeList"] == "node2"
    cluster.run("scancel", number)
    assert wait_for(lambda: attempt(run_dir, 1)["ended"], END_S), everything(run_dir)
    assert cluster.clean() == {}


@pytest.mark.parametrize(
    ("environment", "overrides", "said"),
    [
        ({"MEDU1_CONTAINER": "docker"}, (), "give none, apptainer or pyxis"),
        ({"MEDU1_CONTAINER": "apptainer"}, (), "MEDU1_IMAGE names no image"),
        ({"MEDU1_MODULES": "no-such-module"}, (), "MEDU1_MODULES is 'no-such-module'"),
        ({"MEDU1_INTERFACE": "ib7"}, (), "MEDU1_INTERFACE is ib7"),
        ({"MEDU1_SCRATCH": "/tmp/a-folder-with-a-name-that-is-much-too-long"}, (), "give a shorter folder"),
        ({}, ("trainer.nnodes=3",), "trainer.nnodes is 3, and the job has 2 nodes"),
        ({"MEDU1_PYTHON": "/no/python"}, (), "MEDU1_PYTHON is /no/python, which can't be run there or lacks a package"),
        # No less is reached with what an outer job left, each of which would end srun or let it wait.
        (OUTER_JOB | {"MEDU1_PYTHON": "/no/python"}, (), "MEDU1_PYTHON is /no/python"),
    ],
)
def test_a_mistake_is_said_in_one_sentence(cluster, submit, wait_for, tmp_path, environment, overrides, said):
    run_dir = tmp_path / "run"
    number = submit(run_dir, *overrides, **environment)
    assert wait_for(lambda: cluster.state(number) == "FAILED", END_S), everything(run_dir)
    assert cluster.job(number)["ExitCode"] == "2:0"
    assert said in run_dir.with_name("run.out").read_text() + everything(run_dir)
