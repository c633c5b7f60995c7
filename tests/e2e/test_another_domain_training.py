"""examples/chemistry trains on the real stack; the model is exported and compared with the engine's record."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

ROOT = Path(__file__).resolve().parents[2]
MEDU1 = [sys.executable, "-m", "verl_medu1.cli.app"]
pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(900)]


def medu1(env: dict[str, str], *arguments: object, seconds: float = 120) -> str:
    command = [*MEDU1, *map(str, arguments)]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


def test_three_steps_of_chemistry(with_chemistry, tmp_path):
    run, data = tmp_path / "run", tmp_path / "run" / "data"
    prompts = ROOT / "examples" / "chemistry" / "prompts.yaml"
    source = ["--source", "combustion=200", "--prompts", prompts, "--warmup", "100"]
    medu1(with_chemistry, "prepare", *source, "--out", data)
    medu1(with_chemistry, "model", "tiny", "--data", data, "--out", run / "model")
    small = ["data.train_batch_size=4", "actor_rollout_ref.rollout.n=4", "data.max_response_length=32"]
    small.append("actor_rollout_ref.actor.ppo_mini_batch_size=4")
    medu1(
        with_chemistry, "train", "recipe=chemistry-cpu", f"run_dir={run}", *small, "trainer.total_training_steps=3",
        "trainer.save_freq=3", seconds=600,
    )  # fmt: skip
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    assert len(events.Scalars("reward/combustion/acc/mean")) == 3
    rows = [json.loads(line) for line in (run / "rollouts" / "3.jsonl").read_text().splitlines()]
    assert len(rows) == 16 and {row["data_source"] for row in rows} == {"combustion"}
    assert {row["answer_type"] for row in rows} == {"chemical_equation"} and not any(row["error"] for row in rows)

    # The whole way: the trainer's record, made by both ranks of Megatron, and the exported model.
    said = medu1(with_chemistry, "export", run, "--out", tmp_path / "exported")
    assert "they differ by" in said and "(float32)" in said
    card = (tmp_path / "exported" / "README.md").read_text()
    assert "# chemistry-cpu" in card and "combustion, licence: Apache-2.0" in card and "Not compared" not in card
