"""A cell of the study's grid in training: its held-out answers are what the comparison of cells reads."""

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.e2e.runs import make_inputs, medu1

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(900)]


def test_a_cell_samples_each_held_out_question_after_its_last_step(tmp_path: Path) -> None:
    inputs, run = make_inputs(tmp_path), tmp_path / "run"
    keys = [
        "variant=dr_grpo",
        "scoring.scheme=gated_similarity",
        f"run_dir={run}",
        f"data.train_files={inputs}/data/train.parquet",
        f"data.val_files={inputs}/data/test.parquet",
        f"actor_rollout_ref.model.path={inputs}/model",
        "data.train_batch_size=4",
        "data.max_response_length=32",
        "actor_rollout_ref.actor.ppo_mini_batch_size=4",
        "trainer.total_training_steps=2",
    ]
    medu1("train", "recipe=study-cpu", *keys)
    (file,) = (run / "validation").glob("*.jsonl")
    answers = [json.loads(line) for line in file.read_text().splitlines()]
    rows = pq.read_table(inputs / "data" / "test.parquet").to_pylist()
    assert file.stem == "2" and Counter(answer["row_id"] for answer in answers) == {
        row["extra_info"]["row_id"]: 4 for row in rows
    }
    # Wrong answers may earn up to a half by similarity, and right ones 1.
    assert all(answer["score"] <= 0.5 for answer in answers if not answer["acc"])
