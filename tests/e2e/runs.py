"""Starting, watching and ending runs of the real stack."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

MEDU1 = [sys.executable, "-m", "verl_medu1.cli.app"]


def medu1(*arguments: object) -> str:
    """Run a command to its end, and return what it printed."""
    done = subprocess.run([*MEDU1, *map(str, arguments)], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


def make_inputs(folder: Path, seed: int = 0) -> Path:
    """Questions, and a random model of that seed."""
    medu1("prepare", "--source", "quickstart", "--train", 64, "--warmup", 256, "--out", folder / "data")
    medu1("model", "tiny", "--data", folder / "data", "--out", folder / "model", "--seed", seed)
    return folder


def command(inputs: Path, run_dir: Path, *overrides: str) -> list[str]:
    """A small run: four questions of four short answers a step, a checkpoint after each."""
    keys = [
        f"run_dir={run_dir}",
        f"data.train_files={inputs}/data/train.parquet",
        f"data.val_files={inputs}/data/test.parquet",
        f"actor_rollout_ref.model.path={inputs}/model",
        "data.train_batch_size=4",
        "data.max_response_length=32",
        "actor_rollout_ref.actor.ppo_mini_batch_size=4",
        "actor_rollout_ref.rollout.n=4",
        "trainer.save_freq=1",
    ]
    return [*MEDU1, "train", "recipe=quickstart", *keys, *overrides]


def processes_of(run_dir: Path) -> list[str]:
    """Processes that were started with this run's folder in their environment or command line."""
    found = []
    for process in psutil.process_iter():
        try:
            text = " ".join([*process.cmdline(), *process.environ().values()])
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if str(run_dir) in text and process.pid != os.getpid():
            found.append(" ".join(process.cmdline()))
    return found


def tail(log: Path) -> str:
    return log.read_text()[-3000:]


def wait_for(condition: Callable[[], object], seconds: float, interval_s: float = 0.2) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(interval_s)
    return bool(condition())


def saved_step(checkpoints: Path) -> int:
    """The last whole checkpoint; 0 before the first, and while the file is being written."""
    tracker = checkpoints / "latest_checkpointed_iteration.txt"
    return int(tracker.read_text() or 0) if tracker.exists() else 0
