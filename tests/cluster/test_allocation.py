"""job.sh in its allocation: what an outer job left there, a time limit that is too short, a srun that fails.

Slurm's commands are programs that answer as it does; tests/slurm has the real ones.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SLURM = Path(__file__).resolve().parents[2] / "slurm"
END_S = 60
# Of srun's manual: what makes it die, wait for ever, take fewer GPUs or fewer seconds.
OPTIONS = [
    *("SLURM_MEM_PER_CPU", "SLURM_MEM_PER_GPU", "SLURM_CPUS_PER_TASK", "SLURM_CPUS_PER_GPU", "SLURM_GPUS_PER_NODE"),
    *("SLURM_GPUS", "SLURM_GRES", "SLURM_CONSTRAINT", "SLURM_TIMELIMIT", "SLURM_HINT", "SLURM_NTASKS_PER_CORE"),
    *("SLURM_EXACT", "SLURM_EXCLUSIVE", "SLURM_CPU_BIND", "SLURM_DISTRIBUTION", "SLURM_EXPORT_ENV", "SRUN_EXPORT_ENV"),
    *("SLURM_TRES_PER_TASK", "SLURM_OF_A_LATER_VERSION"),
]


def record(fields: str = "MinMemoryNode=6000M", started: float = 0.0, limit: float = 86400.0) -> str:
    """What `scontrol show job --oneliner` says; `started` is relative to now."""
    times = [time.strftime("%FT%T", time.localtime(time.time() + at)) for at in (started, started + limit)]
    return (
        f"JobId=17 JobName=a Restarts=9 b UserId=me(1) JobState=RUNNING Restarts=0 StartTime={times[0]} "
        f"EndTime={times[1]} NodeList=node1 {fields} Command=/x\n"
    )


def put(folder: Path, name: str, program: str) -> None:
    (folder / name).write_text(f"#!/bin/bash\n{program}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def slurm(tmp_path) -> Callable[..., dict[str, str]]:
    """`slurm(record, srun)`: the environment of a job for which scontrol and srun are these."""

    def slurm(shown: str, srun: str, nodes: str = "1", **more: str) -> dict[str, str]:
        (tmp_path / "record").write_text(shown)
        put(tmp_path, "scontrol", f'[[ $2 == hostnames ]] && echo node1 || cat "{tmp_path}/record"')
        put(tmp_path, "srun", srun)
        own = {"SLURM_JOB_ID": "17", "SLURM_JOB_NAME": "a", "SLURM_JOB_NUM_NODES": nodes, "SLURM_JOB_NODELIST": "node1"}
        places = {"SLURM_SUBMIT_DIR": str(tmp_path), "MEDU1_RUN_DIR": str(tmp_path / "run"), "HERE": str(tmp_path)}
        return {"PATH": f"{tmp_path}:{os.environ['PATH']}"} | own | places | more

    return slurm


@contextmanager
def job(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """One that is running; srun has begun."""
    command = ["bash", SLURM / "job.sh", "recipe=quickstart"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def reason(run_dir: Path) -> tuple[int, str]:
    ended = json.loads((run_dir / "attempts" / "000" / "attempt.json").read_text())
    return ended["exit_code"], ended["reason"]


def appears(file: Path, seconds: float = END_S) -> bool:
    deadline = time.monotonic() + seconds
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return file.exists()


# ------------------------------------------------------------------------------- what an outer job left


def kept(environment: dict[str, str]) -> dict[str, str]:
    """What srun would see of Slurm's variables."""
    program = 'source "$LIB/allocation.sh"; read_allocation; forget_outer_job; env --null'
    command = ["bash", "-c", f"set -euo pipefail; {program}"]
    done = subprocess.run(command, env=environment | {"LIB": str(SLURM / "lib")}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pairs = [line.partition("=")[::2] for line in done.stdout.split("\0")]
    return {name: value for name, value in pairs if name.startswith(("SLURM_", "SRUN_"))}


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(left=st.dictionaries(st.sampled_from(OPTIONS), st.text("ab1 ='*\n", max_size=9), max_size=8))
def test_srun_gets_no_option_of_an_outer_job(slurm, left):
    own = slurm(record(), "", SLURM_MEM_PER_NODE="6000", SLURM_CONF="/etc/slurm.conf")
    names = {name for name in own if name.startswith("SLURM_")} | {"SLURM_RESTART_COUNT"}
    assert set(kept(own | left)) == names


@pytest.mark.parametrize(
    ("fields", "stays"),
    [("MinMemoryNode=6000M", True), ("MinMemoryCPU=200M", False), ("MinMemoryNode=0", False), ("", False)],
)
def test_memory_is_this_jobs_or_unknown(slurm, fields, stays):
    assert ("SLURM_MEM_PER_NODE" in kept(slurm(record(fields), "", SLURM_MEM_PER_NODE="77"))) == stays


def test_restarts_and_components_are_this_jobs(slurm, tmp_path):
    outer = {"SLURM_RESTART_COUNT": "30", "SLURM_HET_SIZE": "2", "MEDU1_MAX_REQUEUES": "3"}
    with job(slurm(record(), 'touch "$HERE/begun"; exec sleep 60', **outer)):
        assert appears(tmp_path / "begun")


# ------------------------------------------------------------------------------- a srun that fails


@pytest.mark.parametrize("nodes", ["1", "2"])
@pytest.mark.parametrize(
    ("said", "code"), [("srun: fatal: SLURM_MEM_PER_CPU and\nSLURM_MEM_PER_NODE are exclusive.", 1), ("", 167)]
)
def test_the_reason_is_sruns_own(slurm, tmp_path, nodes, said, code):
    environment = slurm(record(), f"printf '%s\\n' '{said}' >&2; exit {code}", nodes=nodes)
    done = subprocess.run(["bash", SLURM / "job.sh"], env=environment, capture_output=True, text=True, timeout=END_S)
    found, sentence = reason(tmp_path / "run")
    assert done.returncode == found == code and sentence in done.stdout
    assert sentence.startswith(f"srun ended with exit code {code} before ") and "driver ended" not in sentence
    assert " ".join(said.split()) in sentence


def test_the_reason_is_the_drivers_where_it_ended(slurm, tmp_path):
    srun = 'echo 7 >"$MEDU1_ATTEMPT_DIR/exit_code"; echo "srun: error: node1: task 0: Exited" >&2; exit 7'
    done = subprocess.run(
        ["bash", SLURM / "job.sh"], env=slurm(record(), srun), capture_output=True, text=True, timeout=END_S
    )
    assert reason(tmp_path / "run") == (7, "the driver ended with exit code 7")
    assert "srun: error: node1: task 0: Exited" in done.stderr


# ------------------------------------------------------------------------------- Slurm's warning before the time limit

SLEEPS = 'touch "$HERE/begun"; exec sleep 600'


@pytest.mark.parametrize("limit", [60, 600, 1500])
def test_a_short_jobs_early_warning_waits_until_half_of_its_time_is_over(slurm, tmp_path, limit):
    environment = slurm(record(limit=limit), SLEEPS)
    with job(environment) as process:
        assert appears(tmp_path / "begun") and process.stdout is not None
        process.send_signal(signal.SIGUSR1)
        line = next(line for line in process.stdout if "SIGUSR1" in line)
        assert f"before the end of a time limit of {limit} s" in line and "--signal=B:USR1@SECONDS" in line
        assert not appears(tmp_path / "run" / "stop_requested", 2)
        # Who asks again means it.
        process.send_signal(signal.SIGUSR1)
        assert appears(tmp_path / "run" / "stop_requested")


def test_then_it_is_asked(slurm, tmp_path):
    with job(slurm(record(limit=20), SLEEPS)) as process:
        assert appears(tmp_path / "begun")
        process.send_signal(signal.SIGUSR1)
        assert appears(tmp_path / "run" / "stop_requested")


@pytest.mark.parametrize(
    "shown",
    [
        record(limit=86400),
        record(limit=3600),
        record(started=-600, limit=1000),
        "slurm_load_jobs error: Unable to contact",
    ],
    ids=["a day", "an hour", "late", "unknown"],
)
def test_any_other_is_obeyed_at_once(slurm, tmp_path, shown):
    with job(slurm(shown, SLEEPS)) as process:
        assert appears(tmp_path / "begun") and process.stdout is not None
        process.send_signal(signal.SIGUSR1)
        line = next(line for line in process.stdout if "SIGUSR1" in line)
        assert line.endswith("SIGUSR1: the trainer is asked to save and stop\n")
        assert appears(tmp_path / "run" / "stop_requested")
