"""Answers without a verdict of the judge leave their groups in a real training: Ray, verl's queue, Megatron, vLLM."""

import json
import math
import subprocess
from pathlib import Path

import pytest

from tests.e2e.runs import command, make_inputs
from verl_medu1.run.channel import METRICS

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(900)]
# A judge that fails for a part of all answers, as the reward manager would pass it on.
FUNCTION = """
def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    number = sum(map(ord, solution_str))
    failed = float(number % 4 == 0)
    right = float(number % 2 and not failed)
    return {"score": right, "acc": right, "judge_asked": 1.0, "judge_failed": failed, "reason": "judge: timeout"}
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_inputs(tmp_path_factory.mktemp("inputs"))
    (folder / "reward.py").write_text(FUNCTION)
    return folder


def train(inputs: Path, run_dir: Path, share: float) -> subprocess.CompletedProcess[str]:
    overrides = [f"reward.custom_reward_function.path={inputs}/reward.py", "trainer.total_training_steps=3"]
    overrides += [f"scoring.judge.max_failed_share={share}", "trainer.val_before_train=false", "trainer.test_freq=3"]
    return subprocess.run(command(inputs, run_dir, *overrides), capture_output=True, text=True, timeout=800)


def test_the_training_goes_on_without_them(inputs, tmp_path):
    done = train(inputs, tmp_path / "run", 0.9)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    steps = [json.loads(line) for line in (tmp_path / "run" / METRICS).read_text().splitlines()]
    steps = [step["data"] for step in steps if "judge/asked" in step["data"]]
    assert len(steps) == 3 and all(step["judge/asked"] == 16 for step in steps)
    assert sum(step["judge/failed"] for step in steps) > 0
    assert all(step.get("judge/left_out", 0) >= step["judge/failed"] for step in steps)
    assert all(math.isfinite(step["actor/grad_norm"]) for step in steps)
    rows = [json.loads(line) for line in (tmp_path / "run" / "rollouts" / "1.jsonl").read_text().splitlines()]
    assert sum(row["judge_failed"] for row in rows) == steps[0]["judge/failed"]


def test_too_many_end_the_training_with_a_sentence(inputs, tmp_path):
    done = train(inputs, tmp_path / "run", 0.0)
    assert done.returncode == 1
    assert "and scoring.judge.max_failed_share is 0 (judge: timeout:" in done.stdout + done.stderr
