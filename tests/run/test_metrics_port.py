"""A keeper serves its run's metrics on loopback alone, and the port is free again however the run ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.signals import by_default
from verl_medu1.checks.metrics import why_no_server
from verl_medu1.run_folder.names import METRICS

KEEPER = "import sys; from verl_medu1.run.keeper import keep; sys.exit(keep([sys.executable, '-c', *sys.argv[1:]]))"
# A driver that logs two steps, and ends when it is told to; its child inherits what it can.
DRIVER = textwrap.dedent(
    """
    import os, signal, subprocess, sys, time
    from pathlib import Path
    from verl_medu1.run.channel import Run, connect
    folder = Path(sys.argv[1])
    channel = connect()
    run = Run(str(folder), str(folder / "checkpoints"), 2, has_progress=False, prometheus_port=int(sys.argv[2]))
    channel.announce(run)
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
    Path(folder, sys.argv[3]).write_text(sys.argv[4])
    while not (folder / "end").exists():
        time.sleep(0.05)
    exec((folder / "end").read_text())
    """
)
LINES = "".join(
    json.dumps({"step": step, "data": {"training/global_step": step, "reward/MedQA/acc/mean": step / 4}}) + "\n"
    for step in (1, 2)
)


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def keeper(tmp_path: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", KEEPER, DRIVER, str(tmp_path), str(port), str(METRICS), LINES],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"MARK": str(tmp_path)},
        preexec_fn=by_default,
    )
    yield process
    process.kill()
    process.communicate()


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return answer.read().decode()


def wait_for_step(port: int, step: int) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            text = scrape(port)
        except urllib.error.URLError:
            text = ""
        if f"\nmedu1_step {step}.0\n" in text:
            return text
        time.sleep(0.1)
    raise AssertionError(f"step {step} is not served")


def test_what_is_served_and_where(keeper, tmp_path, port):
    text = wait_for_step(port, 2)
    assert 'medu1_reward{component="acc",source="MedQA",statistic="mean"} 0.5' in text.splitlines()
    listening = [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN and c.laddr.port == port]
    assert [(each.laddr.ip, each.pid) for each in listening] == [("127.0.0.1", keeper.pid)]
    assert why_no_server(port) == "which is in use"
    (tmp_path / "end").write_text("pass")
    assert keeper.wait(30) == 0
    assert why_no_server(port) is None


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("sys.exit(7)", 7),
        ("os.kill(os.getpid(), signal.SIGKILL)", 4),
        (signal.SIGTERM, 143),
        (signal.SIGINT, 130),
        (signal.SIGKILL, -9),  # of the keeper; the driver then ends by itself
    ],
    ids=str,
)
def test_the_port_is_free_again_however_the_run_ends(keeper, tmp_path, port, end, code):
    wait_for_step(port, 2)
    # A scrape that is under way does not hold the run up.
    with socket.create_connection(("127.0.0.1", port)):
        if isinstance(end, signal.Signals):
            keeper.send_signal(end)
        else:
            (tmp_path / "end").write_text(end)
        assert keeper.wait(30) == code
        assert why_no_server(port) is None


def test_a_port_taken_since_the_checks_is_told_and_the_run_goes_on(tmp_path, port):
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        (tmp_path / "end").write_text("pass")
        done = subprocess.run(
            [sys.executable, "-c", KEEPER, DRIVER, str(tmp_path), str(port), str(METRICS), LINES],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 0
    assert f"medu1: prometheus.port is {port}, and nothing can listen there now (Address already in use)" in done.stderr
    assert "step 2/2" in done.stdout


def test_without_a_port_nothing_listens(tmp_path):
    (tmp_path / "end").write_text(
        "import psutil; found = psutil.Process(os.getppid()).net_connections(); assert not found"
    )
    program = DRIVER.replace("int(sys.argv[2])", "None")
    done = subprocess.run(
        [sys.executable, "-c", KEEPER, program, str(tmp_path), "0", str(METRICS), LINES],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
