"""A training on checklists: the items of each step, what the judge says of the rules, and what is reported."""

import itertools
import json
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from reward_score.item_results import AGREED, DIFFERED, ItemResult, read_items
from tests.e2e.runs import medu1, tail
from tests.reward_score.judge_server import serving
from tests.uniform_model import build_uniform_model
from verl_medu1.checks.prompts import SHORTEST
from verl_medu1.data.generated import advice
from verl_medu1.run.channel import METRICS
from verl_medu1.training.checklist_sample import with_drawn_items

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(1500)]
STEPS, SCORED, SEED = 2, 2, 1
MEANS = ("reward/quickstart-advice/checklist_items/mean", "reward/quickstart-advice/checklist_must_nots/mean")


def answers() -> list[str]:
    """Half of the model's tokens: a whole answer of two pieces of advice each."""
    pairs = list(itertools.permutations(advice.facts()["advice"], 2))
    said = random.Random(0).sample([" ".join(f"{one.capitalize()}." for one in pair) for pair in pairs], 180)
    return [f"<think>a</think><answer>{text}</answer>" for text in said]


def dumped(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def items_of(answer: dict[str, Any]) -> list[ItemResult]:
    return read_items(answer["checklist_items"])


def test_items_are_drawn_for_each_group_and_reported_by_name(tmp_path: Path) -> None:
    from tokenizers import pre_tokenizers

    model, data, run_dir = tmp_path / "model", tmp_path / "data", tmp_path / "run"
    build_uniform_model(model, sorted(pre_tokenizers.ByteLevel.alphabet()), 2048, [SHORTEST, *answers()])
    medu1("prepare", "--source", advice.SOURCE, "--train", 16, "--warmup", 1, "--out", data)
    with serving() as judge:  # says no to everything
        keys = {
            "run_dir": run_dir,
            "data.train_files": data / "train.parquet",
            "data.val_files": data / "test.parquet",
            "actor_rollout_ref.model.path": model,
            "data.seed": SEED,
            "data.train_batch_size": 8,
            "actor_rollout_ref.actor.ppo_mini_batch_size": 8,
            "actor_rollout_ref.rollout.n": 4,
            "data.max_prompt_length": 1024,
            "data.max_response_length": 1,
            "actor_rollout_ref.rollout.max_model_len": 1025,
            "scoring.checklist.items_per_step": SCORED,
            "scoring.checklist.audit_share": 0.5,
            "scoring.judge.base_url": judge.url,
            "scoring.judge.model": "m",
            "trainer.total_training_steps": STEPS,
            "trainer.test_freq": STEPS,
            "trainer.save_freq": -1,
        }
        medu1("train", "recipe=advice-cpu", *(f"{key}={value}" for key, value in keys.items()))
        asked = len(judge.requests)

    infos = {
        row["extra_info"]["row_id"]: row["extra_info"] for row in pq.read_table(data / "train.parquet").to_pylist()
    }
    metrics = {step["step"]: step["data"] for step in map(json.loads, (run_dir / METRICS).read_text().splitlines())}
    for step in range(1, STEPS + 1):
        rows = dumped(run_dir / "rollouts" / f"{step}.jsonl")
        assert len(rows) == 8 * 4 and {frozenset(row) for row in rows} == {frozenset(rows[0])}
        scored_by = defaultdict(set)
        for row in rows:
            if items := items_of(row):
                scored_by[row["row_id"]].add(tuple(item.statement for item in items))
        for row_id, found in scored_by.items():
            drawn = with_drawn_items(infos[row_id], SCORED, (SEED, step, advice.SOURCE))["checklist"]
            assert found == {tuple(item["statement"] for item in drawn)} and len(drawn) == SCORED + 2
        assert len(scored_by) > 4, "hardly an answer of the right form"
        items = [item for row in rows for item in items_of(row)]
        for name, must_not in zip(MEANS, (False, True), strict=True):
            true = [item.true for item in items if item.must_not == must_not]
            assert metrics[step][name] == pytest.approx(sum(true) / len(true))
        audits = [item for item in items if item.audit]
        assert all(item.audit == (DIFFERED if item.true else AGREED) for item in audits)
        assert metrics[step]["judge/audit_items"] == len(audits) > 0 and metrics[step]["judge/audit_failed"] == 0
        agreed = sum(item.audit == AGREED for item in audits)
        assert metrics[step]["judge/audit_agreement"] == pytest.approx(agreed / len(audits))
    assert 0 < asked

    held_out = [items_of(row) for row in dumped(run_dir / "validation" / f"{STEPS}.jsonl")]
    assert {len(items) for items in held_out} - {0} == {6}, "a validation scores all items"
    assert "val-aux/judge/audit_agreement" in metrics[STEPS]

    medu1("report", run_dir, "--out", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "Items of the checklists" in page and "<td>Advises to take paracetamol</td>" in page
    assert "must not</span>" in page and "Rules and judge agreed on" in page
    assert not tail(run_dir / "logs" / "console.log").count("Traceback")
