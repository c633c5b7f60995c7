"""Constraints in a real training: multipliers follow the cost, and a resumed run goes on with them."""

import json
import subprocess

import pytest

from tests.e2e.runs import command, make_inputs, tail
from verl_medu1.run.channel import METRICS
from verl_medu1.run_folder.checkpoints import MULTIPLIERS

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(900)]
LIMIT, KP, KI = 0.05, 1.0, 0.5
CONSTRAINT = f"algorithm.constraints={{brief: {{cost: over_budget, limit: {LIMIT}}}}}"


def run(inputs, run_dir, steps):
    overrides = [CONSTRAINT, f"trainer.total_training_steps={steps}", "algorithm.length_penalty.where=off"]
    overrides += ["--allow-changed", "trainer.total_training_steps"]
    done = subprocess.run(command(inputs, run_dir, *overrides), capture_output=True, text=True, timeout=400)
    log = run_dir / "logs" / "console.log"
    assert done.returncode == 0, done.stdout + done.stderr + (tail(log) if log.exists() else "")
    return {line["step"]: line["data"] for line in map(json.loads, (run_dir / METRICS).read_text().splitlines())}


def test_the_multiplier_follows_the_cost_and_survives_a_restart(tmp_path):
    inputs = make_inputs(tmp_path)
    run_dir = tmp_path / "run"
    steps = run(inputs, run_dir, 2)
    steps |= run(inputs, run_dir, 3)
    integral = 0.0
    for step in (1, 2, 3):
        metrics = steps[step]
        answers = [json.loads(line) for line in (run_dir / "rollouts" / f"{step}.jsonl").read_text().splitlines()]
        cost = sum(answer["over_budget"] for answer in answers) / len(answers)
        assert metrics["constraint/brief/cost_mean"] == pytest.approx(cost)
        integral = max(integral + KI * (cost - LIMIT), 0.0)
        value = max(integral + KP * (cost - LIMIT), 0.0)
        assert metrics["constraint/brief/lambda"] == pytest.approx(value)
        state = json.loads((run_dir / "checkpoints" / f"global_step_{step}" / MULTIPLIERS).read_text())
        assert state["brief"] == {"integral": pytest.approx(integral), "lambda": pytest.approx(value)}
    assert integral > 0
