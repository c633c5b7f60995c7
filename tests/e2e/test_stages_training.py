"""Med-R3's three stages on the real stack: which form of a question each step has, and what it is rewarded for."""

import json
from pathlib import Path
from typing import Any

import pytest

from reward_score.evidence import JOINT, REASON, RETRIEVE, STAGES, evidence_recall
from tests.e2e.runs import medu1
from verl_medu1.run.channel import METRICS
from verl_medu1.run_folder.checkpoints import newest_model

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(1500)]
QUESTIONS, SAMPLES = 6, 8


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_each_stage_trains_its_questions_by_its_reward(tmp_path: Path) -> None:
    data, index, model, warm, run = (tmp_path / name for name in ("data", "index", "model", "warm", "run"))
    medu1("prepare", "--source", "quickstart-lookup", "--train", 64, "--out", data)
    medu1("index", "build", data / "corpus.parquet", "--out", index)
    medu1("model", "tiny", "--data", data, "--out", model)
    keys = {"run_dir": warm, "model.path": model, "data.train_files": data / "stages_warmup.parquet"}
    medu1("sft", "recipe=med-r3-cpu", *(f"{key}={value}" for key, value in keys.items()))
    start = newest_model(warm)
    keys = {
        "run_dir": run,
        "data.train_files": data / "stages.parquet",
        "data.val_files": data / "test.parquet",
        "actor_rollout_ref.model.path": start,
        "episodes.settings.index": index,
        "data.train_batch_size": QUESTIONS,
        "actor_rollout_ref.actor.ppo_mini_batch_size": QUESTIONS,
        "actor_rollout_ref.rollout.n": SAMPLES,
        "episodes.answer_gain": "true",
        "algorithm.length_penalty.where": "advantage",
        "algorithm.length_penalty.unit": "calls",
        "algorithm.length_penalty.name": "group_relative",
        "trainer.total_training_steps": len(STAGES),
        "trainer.save_freq": -1,
    }
    medu1("train", "recipe=med-r3-cpu", *(f"{key}={value}" for key, value in keys.items()))

    for step, stage in enumerate(STAGES, start=1):
        answers = rows(run / "rollouts" / f"{step}.jsonl")
        assert len(answers) == QUESTIONS * SAMPLES
        assert {STAGES[int(answer["row_id"].rpartition("/")[2]) % len(STAGES)] for answer in answers} == {stage}
        assert {" is a drug of class " in answer["input"] for answer in answers} == {stage == REASON}
        for answer in answers:
            assert answer["evidence"] == 2.0
            assert answer["evidence_recall"] == evidence_recall(json.loads(answer["facts"]))
            paid = answer["evidence_recall"] if stage == RETRIEVE else answer["acc"]
            assert answer["score"] == paid * answer["format"], stage
            # vLLM's log-probs: what was found changes that of the answer, and nothing was found changes nothing.
            assert answer["answer_gain"] == 0.0 if not answer["calls"] else abs(answer["answer_gain"]) < 50
        if stage != REASON:
            # The warm-up has taught to search: some find evidence, and one search finds half of it.
            assert 0.5 in {answer["evidence_recall"] for answer in answers}, stage
            assert any(answer["answer_gain"] for answer in answers), stage
        if stage == JOINT:
            assert {answer["error"] for answer in answers} == {0.0}
    for metrics in rows(run / METRICS):
        assert 0 <= metrics["data"]["reward/quickstart-lookup/evidence_recall/mean"] <= 1
        assert "advantage/quickstart-lookup/moved_share_of_right" in metrics["data"]
