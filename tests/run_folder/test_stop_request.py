"""A request to stop, a tracker that was cut off, and the options of a cluster's Ray."""

import doctest
import os
import signal
import subprocess
import sys

import pytest

from verl_medu1.cluster import ray_start, ray_watch
from verl_medu1.config.compose import compose_config
from verl_medu1.run_folder import checkpoints, stop_request
from verl_medu1.run_folder.checkpoints import TRACKER, mend_tracker
from verl_medu1.run_folder.stop_request import StopRequest


@pytest.mark.parametrize(
    "module", [checkpoints, ray_start, ray_watch, stop_request], ids=lambda module: module.__name__
)
def test_the_examples_of(module):
    assert doctest.testmod(module).failed == 0


def test_a_signal_makes_the_request_and_the_process_goes_on(tmp_path):
    before = signal.getsignal(signal.SIGUSR1)
    request = StopRequest(tmp_path)
    try:
        request.make_on_signal()
        os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert request.take() and not request.take()


@pytest.mark.parametrize(
    ("tracker", "folders", "expected"),
    [
        ("", (2, 10, 9), "10"),  # cut off: all of the newest was written before
        ("9", (2, 9, 10), "9"),  # global_step_10 is half written
        (None, (2,), None),  # the first checkpoint is half written
    ],
)
def test_what_a_run_resumes_from(tmp_path, tracker, folders, expected):
    for step in folders:
        (tmp_path / f"global_step_{step}").mkdir()
    if tracker is not None:
        (tmp_path / TRACKER).write_text(tracker)
    mend_tracker(tmp_path)
    assert ((tmp_path / TRACKER).read_text() if (tmp_path / TRACKER).exists() else None) == expected


def test_a_cluster_of_ray_gets_what_the_configuration_says():
    config = compose_config(["recipe=quickstart", "trainer.n_gpus_per_node=3", "ray_kwargs.ray_init.num_cpus=7"])
    options = list(ray_start.options_of(config))
    assert ("node", "--num-gpus=3") in options and ("node", "--num-cpus=7") in options
    assert ("head", "--include-dashboard=False") in options
    assert any(who == "head" and option.startswith("--system-config=") for who, option in options)


def test_a_wrong_key_is_said_in_one_sentence():
    command = [sys.executable, "-m", "verl_medu1.cluster.ray_start", "recipe=quickstart", "trainer.no_such_key=1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "no_such_key" in done.stderr and "Traceback" not in done.stderr
