"""From pass rates to a training on levels, and from its rollouts to new pass rates; closed-ended questions first."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.e2e.runs import make_inputs, medu1
from tests.uniform_model import build_uniform_model
from verl_medu1.checks.prompts import SHORTEST

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(1500)]
# As in test_dynamic_sampling_training.py: half of the tokens are a whole answer, a quarter of which is right.
ANSWERS = [SHORTEST, *(f"<think>{number}</think><answer>{'ABCD'[number % 4]}</answer>" for number in range(254))]
QUESTIONS, SAMPLES = 48, 8


def train(recipe: str, run_dir: Path, model: Path, data: Path, *overrides: str) -> dict[int, list[dict[str, Any]]]:
    """Train, and return the answers of each step."""
    keys = [
        f"run_dir={run_dir}",
        f"data.train_files={data}",
        f"data.val_files={data}",
        f"actor_rollout_ref.model.path={model}",
        "actor_rollout_ref.rollout.n=4",
        "trainer.save_freq=-1",
    ]
    medu1("train", f"recipe={recipe}", *keys, *overrides)
    return {
        int(file.stem): [json.loads(line) for line in file.read_text().splitlines()]
        for file in (run_dir / "rollouts").iterdir()
    }


def of_rows(file: Path, value: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """A value of each row, by row_id."""
    return {row["extra_info"]["row_id"]: value(row) for row in pq.read_table(file).to_pylist()}


def test_levels_from_an_evaluation_and_again_from_rollouts(tmp_path: Path) -> None:
    from tokenizers import pre_tokenizers

    model, data = tmp_path / "model", tmp_path / "data"
    build_uniform_model(model, sorted(pre_tokenizers.ByteLevel.alphabet()), 2048, ANSWERS)
    options = ["Aspirin", "Heparin", "Insulin", "Iron"]
    rows = [
        {"question": f"What does patient {i} get?", "options": options, "answer": "ABCD"[i % 4]}
        for i in range(QUESTIONS)
    ]
    (tmp_path / "choice.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    medu1("prepare", "--source", f"own={tmp_path}/choice.jsonl:multiple_choice", "--out", data)
    questions = ["--data", data / "train.parquet"]
    asked = ["--samples", SAMPLES, "--orders", 2, "--max-tokens", 1]
    medu1("eval", "--model", model, *questions, *asked, "--out", tmp_path / "eval")
    report = json.loads(
        medu1(
            "select",
            *questions,
            "--evaluation",
            tmp_path / "eval",
            "--edges",
            "0.1",
            "--out",
            tmp_path / "selected",
            "--json",
        )
    )
    selected = tmp_path / "selected" / "train.parquet"
    levels = of_rows(selected, lambda row: row["extra_info"]["level"])
    assert set(levels.values()) == {"L1", "L2"} and report["most_samples"] == 2 * SAMPLES

    steps = train(
        "alphamed-cpu",
        tmp_path / "run",
        model,
        selected,
        "data.train_batch_size=4",
        "actor_rollout_ref.actor.ppo_mini_batch_size=4",
        "data.mixture.weights={L1: 1, L2: 1}",
        "data.max_prompt_length=1024",
        "data.max_response_length=1",
        "actor_rollout_ref.rollout.max_model_len=1025",
        "trainer.total_training_steps=2",
    )
    for answers in steps.values():
        of_step = {answer["row_id"] for answer in answers}
        assert sorted(levels[row] for row in of_step) == ["L1", "L1", "L2", "L2"]

    medu1("select", "--data", selected, "--rollouts", tmp_path / "run", "--out", tmp_path / "again")
    again = of_rows(tmp_path / "again" / "train.parquet", lambda row: row["extra_info"]["pass_samples"])
    trained = {answer["row_id"] for answers in steps.values() for answer in answers}
    assert {row for row, samples in again.items() if samples != 2 * SAMPLES} == trained and len(again) == len(levels)


def test_closed_ended_questions_come_first(tmp_path: Path) -> None:
    inputs = make_inputs(tmp_path / "inputs")
    data = inputs / "data" / "train.parquet"
    types = of_rows(data, lambda row: row["ability"])
    steps = train(
        "medcco-cpu",
        tmp_path / "run",
        inputs / "model",
        data,
        "data.max_response_length=32",
        "trainer.total_training_steps=4",
    )
    for step, answers in steps.items():
        of_step = sorted(types[row] for row in {answer["row_id"] for answer in answers})
        closed = ["calculation"] * 6 + ["multiple_choice"] * 6
        mostly_open = ["calculation", "multiple_choice"] + ["open_ended"] * 10
        assert of_step == (closed if step <= 2 else mostly_open)
