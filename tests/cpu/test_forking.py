"""The driver starts a fork server where workers are to be forked; it ends with the driver, and its end is told."""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest
from omegaconf import OmegaConf

from tests.e2e.runs import wait_for
from verl_medu1.cpu.faster import fork_client
from verl_medu1.cpu.faster.forking import variables_of
from verl_medu1.run.parts import dead_child

DRIVER = """
    import os, sys, time
    from pathlib import Path
    from ray._private import ray_constants
    from verl_medu1.cpu.faster import forking
    forking.fork_workers({"A": "1"}, Path(sys.argv[1]), modules=sys.argv[2:])
    os.dup2(os.open("log", os.O_WRONLY | os.O_CREAT), 2)
    print(forking._server.pid, ray_constants.SETUP_WORKER_FILENAME, flush=True)
    time.sleep(100)
"""


def start_driver(folder: Path, *modules: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(DRIVER), str(folder), *modules],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=folder,
    )


def test_the_server_ends_with_the_driver(tmp_path):
    driver = start_driver(tmp_path)
    pid, script = driver.stdout.readline().split()
    assert script == fork_client.__file__
    server = psutil.Process(int(pid))
    assert wait_for(lambda: server.name() == "medu1-forks", 10)
    time.sleep(0.2)  # the next line of the server asks for the signal
    driver.kill()
    assert wait_for(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE, 10)
    driver.wait()


def test_the_log_of_the_driver_says_why_the_server_has_died(tmp_path):
    driver = start_driver(tmp_path, "no_such_module")
    pid = driver.stdout.readline().split()[0]
    assert wait_for(lambda: "No module named 'no_such_module'" in (tmp_path / "log").read_text(), 20)
    sentence = f"the process from which workers are forked (process {pid}) died"
    assert wait_for(lambda: dead_child(driver.pid) == sentence, 10)
    driver.kill()
    driver.wait()


@pytest.mark.parametrize(
    ("key", "device", "variables"), [(True, "cpu", {"A": "1"}), (False, "cpu", None), (True, "cuda", None)]
)
def test_workers_are_forked_where_that_is_on_and_on_the_cpu(key, device, variables):
    config = OmegaConf.create({"fork_workers": key, "trainer": {"device": device}})
    config.ray_kwargs = {"ray_init": {"runtime_env": {"env_vars": {"A": 1}}}}
    assert variables_of(config) == variables
    config.fork_workers = "no, thanks"
    with pytest.raises(ValueError, match=r"fork_workers is 'no, thanks'; it must be true or false\."):
        variables_of(config)
