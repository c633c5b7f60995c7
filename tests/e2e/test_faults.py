"""Parts of a run are killed, one start after the other of the same command, and its disk is filled.

The tests are a chain: each takes the run on from where the one before has left it.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.e2e.runs import command, make_inputs, processes_of, saved_step, tail, wait_for
from tests.signals import by_default
from verl_medu1.run_folder.names import CONSOLE_LOG

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.timeout(900)]
SECONDS_TO_END = 60.0
# Imported by each Python that a run starts: once, one of the helpers that Ray waits 15 seconds for comes later.
SLOW_HELPER = """
import os, sys, time
if any("dashboard/agent.py" in word for word in sys.orig_argv):
    try:
        os.close(os.open(os.environ["SLOW_ONCE"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        pass
    else:
        time.sleep(25)
"""


class Run:
    """One run, started as often as it takes; its checkpoints lie on a small disk where one can be mounted."""

    def __init__(self, folder: Path, disk: Path) -> None:
        self.run_dir, self.disk, self.checkpoints = folder / "run", disk, disk / "checkpoints"
        # The path of a socket may have 107 characters only.
        self.temporary = Path(tempfile.mkdtemp(dir="/tmp"))
        self._log = folder / "log"
        self._starts: list[psutil.Popen] = []
        self._arguments = command(
            make_inputs(folder),
            self.run_dir,
            f"trainer.default_local_dir={self.checkpoints}",
            "trainer.total_training_steps=1000",
        )

    def start(self, **variables: str) -> psutil.Popen:
        """Start the command, again, and wait until it has saved a step after those that it finds."""
        self.stop()
        found = saved_step(self.checkpoints)
        console = self.run_dir / CONSOLE_LOG
        printed = console.stat().st_size if console.exists() else 0
        self._log = self._log.with_name(f"log{len(self._starts)}")
        with self._log.open("w") as file:
            environment = os.environ | {"TMPDIR": str(self.temporary)} | variables
            driver = psutil.Popen(self._arguments, stdout=file, stderr=file, env=environment, preexec_fn=by_default)
        self._starts.append(driver)
        wait_for(lambda: saved_step(self.checkpoints) > found or driver.poll() is not None, 400)
        assert saved_step(self.checkpoints) > found, tail(self._log)
        resumed = re.findall(r"Resuming from \S*global_step_(\d+)", console.read_bytes()[printed:].decode())
        assert resumed == ([str(found)] if found else []), tail(self._log)
        return driver

    def stop(self) -> None:
        """End what a test that failed may have left running."""
        for driver in self._starts:
            with suppress(psutil.NoSuchProcess):
                driver.kill()
        assert wait_for(lambda: not self.left(), SECONDS_TO_END), self.left()

    def wait_for_phase(self, phase: str) -> int:
        """Wait until the next time at which `phase` begins, and return the step."""
        before = time.time()

        def last() -> dict[str, int | str | float]:
            return json.loads((self.run_dir / "progress.json").read_text())

        assert wait_for(lambda: last()["phase"] == phase and last()["time"] > before, 120, 0.01), tail(self._log)
        return int(last()["step"])

    def text(self) -> str:
        return self._log.read_text(errors="replace")

    def told(self) -> list[str]:
        return re.findall(r"^medu1: (.*)$", self.text(), re.M)

    def check_end(self, driver: psutil.Popen, since: float, step: int, exit_code: int, sentence: str) -> None:
        """The run ends in time, with its reason in one sentence; nothing is left behind, and `step` is not saved."""
        assert driver.wait(SECONDS_TO_END) == exit_code, tail(self._log)
        gone = wait_for(lambda: not self.left(), SECONDS_TO_END - (time.monotonic() - since))
        print(f"ended after {time.monotonic() - since:.1f} s: {self.told()}")
        assert gone, self.left()
        assert re.fullmatch(sentence, self.told()[0]), tail(self._log)
        assert saved_step(self.checkpoints) == step - 1
        assert f"continues from {self.checkpoints}/global_step_{step - 1}" in self.told()[0]

    def left(self) -> list[str]:
        # torch keeps a cache beside the run's own folder, for the next one.
        return [*processes_of(self.run_dir), *map(str, self.temporary.glob("medu1-*"))]


def part(driver: psutil.Popen, title: str) -> psutil.Process:
    """A process of a run that has this title."""
    for process in driver.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if process.name().startswith(title):
                return process
    raise AssertionError(f"no {title} among {[process.name() for process in driver.children(recursive=True)]}")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("faults")
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2g", "tmpfs", disk], check=False, capture_output=True)
    run = Run(folder, disk)
    yield run
    run.stop()
    shutil.rmtree(run.temporary, ignore_errors=True)
    if disk.is_mount():
        subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.mark.parametrize(
    ("title", "phase", "name"),
    [
        pytest.param("ray::RewardLoopWorker", "rollout", "reward worker 0", id="reward worker"),
        pytest.param("ray::vLLMHttpServer", "rollout", "vLLM server [01]", id="vLLM server"),
        pytest.param("VLLM::EngineCore", "rollout", "vLLM engine, VLLM::EngineCore", id="vLLM engine"),
        pytest.param("ray::WorkerDict", "update", "actor worker rank [01]", id="actor worker"),
        pytest.param("medu1-forks", "update", "the process from which workers are forked", id="fork server"),
    ],
)
def test_a_part_that_is_killed_ends_the_run_with_its_name(run, title, phase, name):
    driver = run.start()
    victim = part(driver, title)
    step = run.wait_for_phase(phase)
    victim.kill()
    run.check_end(driver, time.monotonic(), step, 4, rf"{name} \(process {victim.pid}\b.*\) died,.*")


def test_a_driver_that_is_killed_is_told_of_and_leaves_nothing_behind(run):
    keeper = run.start()
    step = run.wait_for_phase("update")
    driver = keeper.children()[0]
    driver.kill()
    run.check_end(keeper, time.monotonic(), step, 4, rf"driver \(process {driver.pid}\) died.*")


def test_a_keeper_that_is_killed_leaves_nothing_behind(run):
    keeper = run.start()
    step = run.wait_for_phase("update")
    keeper.kill()
    assert keeper.wait(SECONDS_TO_END) == -signal.SIGKILL
    assert wait_for(lambda: not run.left(), SECONDS_TO_END), run.left()
    assert saved_step(run.checkpoints) in (step - 1, step)


def test_a_run_whose_ray_is_slow_to_start_begins_again(run, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(SLOW_HELPER)
    run.start(PYTHONPATH=str(tmp_path), SLOW_ONCE=str(tmp_path / "slow"))
    assert "Ray did not come up within the 15 seconds it has; the run is started again." in run.told()


def test_a_full_disk_leaves_the_checkpoint_before_and_the_run_continues_from_it(run):
    if not run.disk.is_mount():
        pytest.skip("a small disk needs the right to mount one")

    def resize(size: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", run.disk], check=True)

    driver = run.start()
    step = run.wait_for_phase("rollout")
    # What is there, and half of a checkpoint.
    one = sum(
        file.stat().st_size for file in (run.checkpoints / f"global_step_{step - 1}").rglob("*") if file.is_file()
    )
    resize(shutil.disk_usage(run.disk).used + one // 2)
    since = time.monotonic()
    run.check_end(driver, since, step, 5, r"the disk of \S+ is full \(\d+ MiB free\); make room, .*")
    steps = {int(folder.name.removeprefix("global_step_")) for folder in run.checkpoints.glob("global_step_*")}
    assert max(steps) == saved_step(run.checkpoints)

    resize(2**31)
    driver = run.start()
    driver.send_signal(signal.SIGINT)
    assert driver.wait(SECONDS_TO_END) != 0
    assert run.left() == []
