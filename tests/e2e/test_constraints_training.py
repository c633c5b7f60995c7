"""Constraints in a real training: multipliers follow the cost, a resumed run goes on with them, and the guard."""

import json
import math
import subprocess

import pytest

from tests.e2e.runs import command, make_inputs, medu1, tail
from tests.uniform_model import build_uniform_model
from verl_medu1.checks.prompts import SHORTEST
from verl_medu1.config.compose import compose_config
from verl_medu1.data.generated import dosing
from verl_medu1.run.channel import METRICS
from verl_medu1.run_folder.checkpoints import MULTIPLIERS

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(900)]
LIMIT, KP, KI = 0.05, 1.0, 0.5
# One of each drug, above or at its maximum; most are unsafe or far too little for another drug.
DOSES = [dose for pair in dosing.DRUGS.values() for dose in pair]
CONSTRAINT = f"algorithm.constraints={{brief: {{cost: over_budget, limit: {LIMIT}}}}}"


def run(inputs, run_dir, steps, *constraint):
    overrides = [
        *(constraint or (CONSTRAINT,)),
        f"trainer.total_training_steps={steps}",
        "algorithm.length_penalty.where=off",
    ]
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


def test_unsafe_doses_are_a_cost(tmp_path):
    """recipe=dosing-cpu; half of the model's tokens are an answer, of which some are above the maximum of any drug."""
    from tokenizers import pre_tokenizers

    model, data, run_dir = tmp_path / "model", tmp_path / "data", tmp_path / "run"
    doses = [f"<think>{number}</think><answer>{DOSES[number % len(DOSES)]} mg</answer>" for number in range(254)]
    build_uniform_model(model, sorted(pre_tokenizers.ByteLevel.alphabet()), 2048, [SHORTEST, *doses])
    keys = {
        "run_dir": run_dir,
        "data.train_files": data / "train.parquet",
        "data.val_files": data / "test.parquet",
        "actor_rollout_ref.model.path": model,
        "data.train_batch_size": 8,
        "actor_rollout_ref.actor.ppo_mini_batch_size": 8,
        "actor_rollout_ref.rollout.n": 4,
        "data.max_prompt_length": 1024,
        "data.max_response_length": 1,
        "actor_rollout_ref.rollout.max_model_len": 1025,
        "trainer.total_training_steps": 2,
        "trainer.save_freq": 2,
    }
    medu1("prepare", "--source", dosing.SOURCE, "--train", 16, "--warmup", 1, "--out", data)
    medu1("train", "recipe=dosing-cpu", *(f"{key}={value}" for key, value in keys.items()))
    metrics = {line["step"]: line["data"] for line in map(json.loads, (run_dir / METRICS).read_text().splitlines())}
    limit, integral = compose_config(["recipe=dosing-cpu"]).algorithm.constraints.dose.limit, 0.0
    for step in (1, 2):
        answers = [json.loads(line) for line in (run_dir / "rollouts" / f"{step}.jsonl").read_text().splitlines()]
        unsafe = sum(answer["unsafe"] for answer in answers) / len(answers)
        assert limit < unsafe < 1 and metrics[step]["constraint/dose/cost_mean"] == pytest.approx(unsafe)
        integral += KI * (unsafe - limit)
        assert metrics[step]["constraint/dose/lambda"] == pytest.approx(integral + KP * (unsafe - limit))
    state = json.loads((run_dir / "checkpoints" / "global_step_2" / MULTIPLIERS).read_text())
    assert state["dose"]["lambda"] == pytest.approx(metrics[2]["constraint/dose/lambda"])


def test_answers_cost_what_the_reference_model_makes_of_them(tmp_path):
    inputs, run_dir = make_inputs(tmp_path), tmp_path / "run"
    support = "algorithm.constraints={support: {cost: reference_surprisal, limit: 1}}"
    reference = ["actor_rollout_ref.actor.use_kl_loss=true", "actor_rollout_ref.actor.kl_loss_coef=0"]
    (metrics,) = run(inputs, run_dir, 1, support, *reference).values()
    answers = [json.loads(line) for line in (run_dir / "rollouts" / "1.jsonl").read_text().splitlines()]
    surprisals = [answer["reference_surprisal"] for answer in answers]
    # To a model at random all tokens are about as likely; the reference model is the one that the run begins with.
    vocabulary = json.loads((inputs / "model" / "config.json").read_text())["vocab_size"]
    assert surprisals == pytest.approx([math.log(vocabulary)] * len(answers), rel=0.4)
    assert metrics["constraint/support/cost_mean"] == pytest.approx(sum(surprisals) / len(surprisals))
    by_source = [value for name, value in metrics.items() if name.endswith("/reference_surprisal/mean")]
    assert by_source == pytest.approx([math.log(vocabulary)] * len(by_source), rel=0.2) and by_source
    assert metrics["constraint/support/lambda"] == pytest.approx((KP + KI) * (sum(surprisals) / len(surprisals) - 1))
