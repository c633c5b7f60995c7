"""A pipeline of four stages that is killed in each stage, and one that is not: both ask the same and end alike."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch

pytest.importorskip("openai", reason="the package openai is not installed (pip install verl-medu1[judge])")

from tests.e2e.runs import MEDU1, processes_of, saved_step, tail, wait_for
from tests.reward_score.judge_server import NO, YES, serving
from verl_medu1.models.weights import Weights
from verl_medu1.run_folder.checkpoints import newest_model
from verl_medu1.run_folder.names import CHECKPOINTS, CONFIG

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(3000)]
STAGES = ("cold-start", "rules", "verifier", "merged")
STARTING_S = 600


@pytest.fixture(scope="module")
def judge() -> Iterator[str]:
    """Address of a verifier that goes by the length of the answer."""
    with serving() as endpoint:
        endpoint.reply = lambda case: YES if len(case["answer"]) % 2 else NO
        yield endpoint.url


def prepared(run_dir: Path) -> Path:
    """A pipeline's folder with questions with budgets, and a random model."""
    for arguments in (
        ["prepare", "--source", "quickstart", "--train", "64", "--warmup", "256", "--budget", "max:fixed:12,22,40"],
        ["model", "tiny", "--data", run_dir / "data", "--seed", "0"],
    ):
        out = ["--out", run_dir / ("data" if arguments[0] == "prepare" else "model")]
        subprocess.run([*MEDU1, *map(str, [*arguments, *out])], check=True, timeout=200)
    return run_dir


def command(run_dir: Path, judge: str) -> list[str]:
    """Two steps of four short answers to four questions in each training, and a checkpoint after each."""
    keys = [
        "data.train_batch_size=4",
        "data.max_response_length=32",
        "actor_rollout_ref.actor.ppo_mini_batch_size=4",
        "actor_rollout_ref.rollout.n=4",
        # Each answer has its own seed, so that the two pipelines can be compared.
        "actor_rollout_ref.rollout.agent.default_agent_loop=medu1_seeded",
        "actor_rollout_ref.rollout.enable_chunked_prefill=false",
        "trainer.save_freq=1",
        "trainer.total_training_steps=2",
        # A model that is hardly warmed up is never right: every answer's length counts, and no question is replaced.
        "algorithm.filter_groups.enable=false",
        "algorithm.length_penalty.name=alp",
        "algorithm.length_penalty.where=reward",
        "algorithm.length_penalty.weight=1",
    ]
    settings = [f"{stage}:{key}" for stage in ("rules", "verifier") for key in keys]
    settings += [f"verifier:scoring.judge.base_url={judge}", "verifier:scoring.judge.model=rule"]
    return [*MEDU1, "pipeline", "recipe=wingpt-cpu", f"run_dir={run_dir}", *settings]


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    with Weights(folder) as weights:
        return {name: weights.get(name) for name in weights.shapes}


def rollouts(run_dir: Path, step: int) -> list[tuple[str, ...]]:
    rows = map(json.loads, (run_dir / "rollouts" / f"{step}.jsonl").read_text().splitlines())
    return sorted((row["input"], row["output"], str(row["score"])) for row in rows)


def kill_when(line: list[str], condition, log: Path) -> None:
    """Start a pipeline, and kill all its processes at once when a condition holds."""
    with log.open("a") as output:
        pipeline = subprocess.Popen(line, stdout=output, stderr=output)
    met = wait_for(lambda: condition() or pipeline.poll() is not None, STARTING_S, 0.05)
    family = [psutil.Process(pipeline.pid), *psutil.Process(pipeline.pid).children(recursive=True)] if met else []
    assert met and pipeline.poll() is None, tail(log)
    for process in family:
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    pipeline.wait()


def test_killed_in_each_stage_it_ends_as_without(judge, tmp_path):
    whole, killed = prepared(tmp_path / "whole"), prepared(tmp_path / "killed")
    done = subprocess.run(command(whole, judge), capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    line, log = command(killed, judge), tmp_path / "log"
    for condition in (
        lambda: (killed / "cold-start" / CONFIG).exists(),
        lambda: saved_step(killed / "rules" / CHECKPOINTS) == 1,
        lambda: saved_step(killed / "verifier" / CHECKPOINTS) == 1,
        lambda: "stage 4 of 4, merged" in log.read_text(),
    ):
        kill_when(line, condition, log)
        assert wait_for(lambda: not processes_of(killed), 60), processes_of(killed)
        assert not (killed / "merged").exists()
        states = subprocess.run([*MEDU1, "status", str(killed)], capture_output=True, text=True, timeout=100)
        assert states.returncode == 0 and all(stage in states.stdout for stage in STAGES), states.stderr
    done = subprocess.run(line, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert "stage 1 of 4, cold-start: done" in done.stderr
    assert saved_step(killed / "rules" / CHECKPOINTS) == saved_step(killed / "verifier" / CHECKPOINTS) == 2
    start, again = (tensors(newest_model(run_dir / "cold-start")) for run_dir in (whole, killed))
    assert all(torch.equal(again[name], tensor) for name, tensor in start.items())
    # verl writes the answers of a step after its checkpoint, so that those of the first may be lost.
    assert rollouts(whole / "rules", 2) == rollouts(killed / "rules", 2)
    # Sums of gradients differ in their last digits from run to run, and Adam divides by their size.
    expected, found = tensors(whole / "merged"), tensors(killed / "merged")
    apart, moved = (max(float((expected[n] - other[n]).abs().max()) for n in expected) for other in (found, start))
    assert 0 < moved and apart < 0.25 * moved, (apart, moved)
    # Other settings than those it began with are not gone on with.
    done = subprocess.run([*line, "cold-start:data.train_batch_size=8"], capture_output=True, text=True, timeout=200)
    assert done.returncode == 2 and "stage cold-start began with " in done.stderr, done.stderr
