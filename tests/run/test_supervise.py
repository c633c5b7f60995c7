"""A run under supervision ends with its reason and leaves nothing behind, shown with real processes."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import psutil
import pytest
import yaml

from verl_medu1.run_folder.names import CONSOLE_LOG
from verl_medu1.run_folder.progress import Progress

KEEPER = "import sys; from verl_medu1.run.keeper import keep; sys.exit(keep([sys.executable, *sys.argv[1:]]))"
# A body that starts a process whose parent exits at once, so that it is an orphan, and prints its number.
PROGRAM = textwrap.dedent(
    """
    import os, subprocess, sys, time
    from omegaconf import OmegaConf
    from verl_medu1.run.channel import connect
    from verl_medu1.run.supervise import supervised
    channel = connect()
    config = OmegaConf.create({
        "run_dir": sys.argv[1],
        "watchdog": {"timeout_s": 50.0, "start_timeout_s": float(sys.argv[2])},
        "prometheus": {"port": None},
        "ray_kwargs": {"ray_init": {"runtime_env": {"env_vars": {}}}},
        "trainer": {"device": "cpu", "n_gpus_per_node": 1, "default_local_dir": sys.argv[1] + "/checkpoints"},
    })
    popen = "subprocess.Popen(['sleep', '100'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)"
    orphan = f"import subprocess; print({popen}.pid)"
    with supervised(config, channel, interval_s=0.1):
        found = subprocess.run([sys.executable, "-c", orphan], capture_output=True, text=True).stdout
        print("orphan", found, end="", flush=True)
        BODY
    """
)


def run(tmp_path: Path, body: str, start_timeout_s: float = 50.0, run_dir: Path | None = None) -> tuple[int, str, int]:
    """Exit code, standard error and the orphan's number."""
    folder = run_dir or tmp_path
    with tempfile.TemporaryDirectory(dir="/tmp") as temporary:
        done = subprocess.run(
            [sys.executable, "-c", KEEPER, "-c", PROGRAM.replace("BODY", body), str(folder), str(start_timeout_s)],
            capture_output=True,
            text=True,
            timeout=100,
            env=os.environ | {"TMPDIR": temporary},
        )
        assert os.listdir(temporary) == []
    printed = re.search(r"^orphan (\d+)$", (folder / CONSOLE_LOG).read_text(), re.M)
    assert printed
    return done.returncode, done.stderr, int(printed[1])


def test_a_run_that_ends_leaves_no_process(tmp_path):
    code, _, orphan = run(tmp_path, "pass")
    assert code == 0
    assert not psutil.pid_exists(orphan)


def test_a_run_that_fails_leaves_no_process(tmp_path):
    code, error, orphan = run(tmp_path, "raise RuntimeError('broken')")
    assert code == 1 and "broken" in error
    assert not psutil.pid_exists(orphan)


def test_a_run_without_progress_is_ended_with_the_reason(tmp_path):
    started = time.monotonic()
    code, error, orphan = run(tmp_path, "time.sleep(100)", start_timeout_s=1.0)
    assert code == 3
    assert "no progress for 1 s in phase 'start' of step 0" in error and "watchdog.start_timeout_s" in error
    assert time.monotonic() - started < 60
    assert not psutil.pid_exists(orphan)


def test_a_driver_that_is_killed_leaves_no_process_and_no_folder_and_is_told_of(tmp_path):
    code, error, orphan = run(tmp_path, "time.sleep(5); os.kill(os.getpid(), 9)")
    assert code == 4
    assert re.search(r"^medu1: driver \(process \d+\) died, .* the same command begins the run again", error)
    assert not psutil.pid_exists(orphan)


def test_a_run_that_is_told_to_end_twice_clears_up_once(tmp_path):
    """As a job's nodes do on `scancel`: Slurm tells each process, and the node's script tells the driver again."""
    body = (
        "import signal, threading; again = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)); "
        "again.daemon = True; again.start(); os.kill(os.getppid(), signal.SIGTERM); time.sleep(100)"
    )
    code, _, orphan = run(tmp_path, body)
    assert code == 143
    assert not psutil.pid_exists(orphan)


def test_a_part_that_is_killed_ends_the_run_with_its_name(tmp_path):
    raylet = shutil.copy(shutil.which("sleep"), tmp_path / "raylet")
    body = f"part = subprocess.Popen([{str(raylet)!r}, '100']); time.sleep(5); part.kill(); time.sleep(100)"
    code, error, orphan = run(tmp_path, body)
    assert code == 4
    assert re.search(
        r"^medu1: Ray's raylet \(process \d+\) died, in phase 'start' of step 0; the same command begins", error
    )
    assert not psutil.pid_exists(orphan)


def test_a_full_disk_ends_the_run_with_its_folder(tmp_path):
    code, error, orphan = run(tmp_path, "raise OSError(28, os.strerror(28))")
    assert code == 5
    assert re.search(rf"^medu1: a disk is full, that of {tmp_path} or another one .*; make room, and the same", error)
    assert not psutil.pid_exists(orphan)


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("raise OSError(28, os.strerror(28))", 5, "the disk of"),
        ("time.sleep(100)", 3, "no progress for 1 s"),
    ],
)
def test_a_run_whose_own_folder_is_full_ends(tmp_path, body, code, said):
    """Ray's logs can't be kept there; the run ends all the same, with its exit code, and clears up."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "small", disk], capture_output=True).returncode:
        pytest.skip("a small disk needs the right to mount one")
    log = (
        "from pathlib import Path; "
        "folder = next(Path(os.environ['TMPDIR']).glob('medu1-*')) / 'session_2026' / 'logs'; "
        "folder.mkdir(parents=True); (folder / 'large').write_bytes(bytes(2**20)); "
    )
    try:
        ended, error, orphan = run(tmp_path, log + body, start_timeout_s=1.0, run_dir=disk)
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
    assert ended == code and said in error, error
    assert "not all logs of the run's processes could be kept" in error
    assert not psutil.pid_exists(orphan)


def test_progress_is_what_was_reported_last(tmp_path):
    progress = Progress(tmp_path)
    progress.report(1, "rollout")
    progress.report(2, "update")
    assert (progress.read()["step"], progress.read()["phase"]) == (2, "update")


def test_a_cluster_that_is_there_is_joined_as_it_is(tmp_path, monkeypatch):
    """What only a new cluster takes is left out, and each node's processes keep their own temporary folder."""
    body = "from pathlib import Path; Path(sys.argv[1], 'seen.yaml').write_text(OmegaConf.to_yaml(joined))"
    ray_init = {"num_cpus": 4, "num_gpus": 2, "object_store_memory": 10, "runtime_env": {"env_vars": {"A": "1"}}}
    program = PROGRAM.replace('{"runtime_env": {"env_vars": {}}}', str(ray_init))
    program = program.replace("interval_s=0.1):", "interval_s=0.1) as joined:").replace("BODY", body)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    subprocess.run(
        [sys.executable, "-c", KEEPER, "-c", program, str(tmp_path), "50"], check=True, capture_output=True, timeout=100
    )
    joined = yaml.safe_load((tmp_path / "seen.yaml").read_text())
    metrics = {"VERL_FILE_LOGGER_PATH": str(tmp_path / "logs" / "metrics.jsonl")}
    assert joined["ray_kwargs"]["ray_init"] == {"runtime_env": {"env_vars": {"A": "1"} | metrics}}
