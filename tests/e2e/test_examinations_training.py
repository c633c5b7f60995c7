"""Examinations on the real stack: what is paid for what was learned, what it costs, and what must not stay unasked."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.e2e.runs import medu1
from verl_medu1.data.generated.consultation import DISEASES
from verl_medu1.run.channel import METRICS
from verl_medu1.run_folder.checkpoints import newest_model

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(1500)]
QUESTIONS, SAMPLES, STEPS, SOURCE = 6, 8, 2, "quickstart-examinations"


def with_must_ask(file: Path) -> None:
    """Let each row forbid to exclude the first disease without any of its first three examinations."""
    table = pq.read_table(file)
    infos = table["extra_info"].to_pylist()
    for info in infos:
        case = json.loads(info["environment"])
        info["environment"] = json.dumps({**case, "must_ask": {DISEASES[0]: list(case["examinations"])[:3]}})
    place = table.schema.get_field_index("extra_info")
    column = pa.array(infos, table.schema.field(place).type)
    pq.write_table(table.set_column(place, table.schema.field(place), column), file)


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_gains_costs_and_constraints_are_of_what_was_ordered(tmp_path: Path) -> None:
    data, model, warm, run = (tmp_path / name for name in ("data", "model", "warm", "run"))
    medu1("prepare", "--source", SOURCE, "--train", 64, "--warmup", 2400, "--out", data)
    with_must_ask(data / "train.parquet")
    medu1("model", "tiny", "--data", data, "--out", model)
    keys = {"run_dir": warm, "model.path": model, "data.train_files": data / "warmup.parquet"}
    medu1("sft", "recipe=consultation-cpu", *(f"{key}={value}" for key, value in keys.items()))
    keys = {
        "run_dir": run,
        "data.train_files": data / "train.parquet",
        "data.val_files": data / "test.parquet",
        "actor_rollout_ref.model.path": newest_model(warm),
        "data.train_batch_size": QUESTIONS,
        "actor_rollout_ref.actor.ppo_mini_batch_size": QUESTIONS,
        "actor_rollout_ref.rollout.n": SAMPLES,
        "episodes.environment": "examinations",
        "episodes.answer_gain": "true",
        "episodes.answer_gain_weight": 0.1,
        "algorithm.constraints": "{ask: {cost: unasked, limit: 0.05}}",
        "algorithm.length_penalty.where": "advantage",
        "algorithm.length_penalty.unit": "prices",
        "algorithm.length_penalty.name": "group_relative",
        "trainer.total_training_steps": STEPS,
        "trainer.save_freq": -1,
    }
    medu1("train", "recipe=consultation-cpu", *(f"{key}={value}" for key, value in keys.items()))

    train = pq.read_table(data / "train.parquet")["extra_info"].to_pylist()
    catalogues = {info["row_id"]: json.loads(info["environment"])["examinations"] for info in train}
    learned = []
    for step in range(1, STEPS + 1):
        answers = rows(run / "rollouts" / f"{step}.jsonl")
        assert len(answers) == QUESTIONS * SAMPLES
        for answer in answers:
            facts, catalogue = json.loads(answer["facts"]), catalogues[answer["row_id"]]
            assert answer["examination_cost"] == sum(catalogue[name]["price"] for name in facts["done"])
            must = set(list(catalogue)[:3])
            forgot = not must & set(facts["done"]) and bool(answer["pred"]) and answer["pred"] != DISEASES[0]
            assert answer["unasked"] == float(forgot)
            # The policy's own log-probs: nothing done is nothing learned.
            assert answer["answer_gain"] == 0.0 if not facts["done"] else abs(answer["answer_gain"]) < 50
            # verl dumps the reward that is trained on.
            paid = answer["acc"] * answer["format"] + 0.1 * answer["answer_gain"]
            assert answer["score"] == pytest.approx(paid, abs=1e-5)
            learned.append((answer["row_id"], frozenset(facts["done"]), answer["answer_gain"], step))
    assert any(gain for *_, gain, _ in learned)
    # Who has done the same has learned the same, in whatever order.
    same: dict[tuple[Any, ...], list[float]] = {}
    for row_id, done, gain, step in learned:
        same.setdefault((row_id, done, step), []).append(gain)
    assert all(max(gains) - min(gains) < 1e-4 for gains in same.values())
    assert any(len(gains) > 1 for gains in same.values())
    for metrics in rows(run / METRICS):
        figures = metrics["data"]
        assert 0 <= figures["constraint/ask/cost_mean"] <= 1 and figures["constraint/ask/lambda"] >= 0
        paid = figures[f"reward/{SOURCE}/score/mean"] + 0.1 * figures[f"reward/{SOURCE}/answer_gain/mean"]
        # verl's own mean of what the advantages are made of.
        assert figures["critic/rewards/mean"] == pytest.approx(paid, abs=1e-4)
