"""Real training on a real Slurm: verl's trainer, Megatron across two nodes, vLLM on each, on two CPU cores.

One run goes through; another, with the same seed, is stopped twice, loses a node, and is cancelled in the end. Both
must have done the same in each step. A start of the stack takes most of the time: each attempt serves several ends.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from verl_medu1.run_folder.checkpoints import TRACKER, newest_model
from verl_medu1.run_folder.names import CONSOLE_LOG
from verl_medu1.run_folder.progress import STOPPED, Progress

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(4500)]
STEPS, SAVE_FREQ = 16, 3
WHOLE = "whole é (1)"  # characters that mean something to bash and Hydra
STARTING_S = 900  # until the first step of an attempt is done, on two slow cores with a second such run
COMPARED = ("input", "output", "gts", "score", "data_source", "acc", "format", "pred", "length")


def medu1(*arguments: object) -> str:
    """What a command prints."""
    command = [sys.executable, "-m", "verl_medu1.cli.app", *map(str, arguments)]
    return subprocess.run(command, check=True, timeout=600, stdout=subprocess.PIPE, text=True).stdout


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> list[str]:
    """Overrides with questions and a random model, and seeded answers."""
    folder = tmp_path_factory.mktemp("inputs")
    for arguments in (
        ["prepare", "--source", "quickstart", "--train", "64", "--warmup", "256", "--out", folder / "data"],
        ["model", "tiny", "--data", folder / "data", "--out", folder / "model"],
    ):
        medu1(*arguments)
    return [
        f"data.train_files={folder}/data/train.parquet",
        f"data.val_files={folder}/data/test.parquet",
        f"actor_rollout_ref.model.path={folder}/model",
        "data.train_batch_size=4",
        "data.max_response_length=32",
        "data.mixture.by=ability",
        # A random model is never right: without a reward for its length nothing would change, and nothing be compared.
        "algorithm.length_penalty.where=reward",
        "actor_rollout_ref.actor.ppo_mini_batch_size=4",
        "actor_rollout_ref.rollout.n=4",
        "actor_rollout_ref.rollout.agent.default_agent_loop=medu1_seeded",
        "actor_rollout_ref.rollout.enable_chunked_prefill=false",
        f"trainer.save_freq={SAVE_FREQ}",
        f"trainer.total_training_steps={STEPS}",
    ]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Folder of the runs, in which the tests follow on each other."""
    return tmp_path_factory.mktemp("runs")


def step(run_dir: Path) -> int:
    """The step that the trainer is in; 0 before the first."""
    if not (run_dir / "progress.json").exists():
        return 0
    return int(Progress(run_dir).read()["step"])


def phase(run_dir: Path) -> str:
    return str(Progress(run_dir).read()["phase"])


def attempts(run_dir: Path) -> list[dict[str, object]]:
    return [json.loads(file.read_text()) for file in sorted(run_dir.glob("attempts/*/attempt.json"))]


def resumed_from(run_dir: Path, attempt: int) -> int:
    """The step whose checkpoint an attempt began with; 0 for none."""
    starts = re.split(r"^==== ", (run_dir / CONSOLE_LOG).read_text(), flags=re.M)
    log = next(start for start in starts if start.partition("\n")[0].endswith(f"attempt {attempt:03d}"))
    found = re.search(r"Resuming from \S*global_step_(\d+)", log)
    return int(found[1]) if found else 0


def saved_step(run_dir: Path) -> int:
    return int((run_dir / "checkpoints" / TRACKER).read_text())


def rollouts(run_dir: Path, number: int) -> list[dict[str, object]]:
    """What was asked, answered and rewarded in a step; verl writes it in the order of random names."""
    rows = map(json.loads, (run_dir / "rollouts" / f"{number}.jsonl").read_text().splitlines())
    return sorted(({key: row[key] for key in COMPARED} for row in rows), key=json.dumps)


def scalars(run_dir: Path, tag: str) -> dict[int, float]:
    """A curve of TensorBoard, by step; where a step was repeated, its last value."""
    events = EventAccumulator(str(run_dir / "tensorboard"))
    events.Reload()
    return {event.step: event.value for event in events.Scalars(tag)}


def logs(run_dir: Path) -> str:
    files = [run_dir.with_name(f"{run_dir.name}.out"), *sorted(run_dir.glob("attempts/*/*.log")), run_dir / CONSOLE_LOG]
    return "\n".join(f"--- {file}\n{file.read_text()[-1500:]}" for file in files if file.exists())


def forked(run_dir: Path) -> list[int]:
    """How many processes the fork server of each node has now."""
    return [
        len(process.children())
        for process in psutil.process_iter(["name"])
        if process.info["name"] == "medu1-forks" and process.environ().get("MEDU1_RUN_DIR") == str(run_dir)
    ]


def test_a_run_across_two_nodes_to_its_end(cluster, submit, wait_for, inputs, runs):
    run_dir = runs / WHOLE
    number = submit(run_dir, *inputs)
    assert wait_for(lambda: step(run_dir) >= 1 or cluster.state(number) == "FAILED", STARTING_S), logs(run_dir)
    # An actor worker and vLLM's server with its engine on each node.
    assert len(forks := forked(run_dir)) == 2 and min(forks) >= 3, forks
    assert wait_for(lambda: cluster.state(number) not in ("PENDING", "RUNNING", "COMPLETING"), 1800), logs(run_dir)
    assert (cluster.state(number), step(run_dir)) == ("COMPLETED", STEPS), logs(run_dir)
    assert newest_model(run_dir).match(f"global_step_{STEPS}/actor/*/huggingface")
    assert attempts(run_dir)[0] | {"job_id": int(number), "exit_code": 0, "reason": "finished"} == attempts(run_dir)[0]
    # Megatron's two ranks were on two nodes.
    saved = (run_dir / "attempts" / "000" / "cluster").read_text()
    assert "--num-gpus=1" in saved
    assert cluster.clean() == {}
    # The command itself refuses what does not compute what the training did.
    assert "Log-probabilities against the training engine's" in medu1("export", run_dir, "--out", runs / "exported")


def test_a_run_stopped_twice_and_robbed_of_a_node_does_the_same(cluster, submit, wait_for, inputs, runs):
    whole, broken = runs / WHOLE, runs / "broken"
    assert (whole / "rollouts").exists(), "compared with the run of the test before"
    number = submit(broken, *inputs)

    def runs_until(condition: Callable[[], object]) -> None:
        reached = wait_for(lambda: condition() or cluster.state(number) == "FAILED", STARTING_S)
        assert reached and cluster.state(number) != "FAILED", logs(broken)

    for attempt, stop_at in enumerate((1, 3)):
        runs_until(lambda: step(broken) >= stop_at)  # noqa: B023 (called at once)
        cluster.run("scancel", "--signal=USR1", "--batch", number)
        runs_until(lambda: len(attempts(broken)) == attempt + 2)  # noqa: B023
        ended = attempts(broken)[attempt]
        assert (ended["exit_code"], ended["reason"]) == (85, "stopped on request after a checkpoint"), logs(broken)
        assert phase(broken) == STOPPED and saved_step(broken) == step(broken)

    stopped_at = saved_step(broken)
    killed_at = stopped_at + 1 + SAVE_FREQ - (stopped_at + 1) % SAVE_FREQ
    runs_until(lambda: step(broken) >= killed_at + 1 and phase(broken) in ("rollout", "update"))
    assert resumed_from(broken, 2) == stopped_at
    robbed_at, lost = step(broken), attempts(broken)[2]["nodes"][-1]
    cluster.kill(lost)
    try:
        runs_until(lambda: len(attempts(broken)) == 4)
        assert f"lost {lost}" in str(attempts(broken)[2]["reason"])
        assert lost not in attempts(broken)[3]["nodes"] and cluster.job(number)["ExcNodeList"] == lost
        # A step's answers are written while the next one runs.
        runs_until(lambda: step(broken) > robbed_at + 2)
    finally:
        cluster.up(lost)
    assert robbed_at - resumed_from(broken, 3) <= SAVE_FREQ

    cluster.run("scancel", number)
    assert wait_for(lambda: cluster.state(number) == "CANCELLED" and attempts(broken)[3]["ended"], 600)
    assert cluster.clean() == {}

    compared = range(1, robbed_at + 2)
    for one in compared:
        assert rollouts(broken, one) == rollouts(whole, one), f"step {one}"
    gradients = scalars(whole, "actor/grad_norm")
    assert any(gradients[one] > 0 for one in range(1, stopped_at + 1)), gradients
    for tag in ("critic/score/mean", "response_length/mean", "actor/grad_norm"):
        expected, found = scalars(whole, tag), scalars(broken, tag)
        # An event file may lack the last steps before a node was lost or the job was cancelled.
        common = sorted(set(compared) & set(found))
        assert len(common) >= stopped_at
        assert [found[i] for i in common] == pytest.approx([expected[i] for i in common], rel=1e-3), tag
