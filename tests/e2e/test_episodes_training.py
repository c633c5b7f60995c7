"""Episodes on the real stack: tokens, masks and log-probs of searches, their rewards, and an evaluation of them."""

import json
import shutil
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.recording_loop import RECORDS
from tests.e2e.runs import medu1, tail
from verl_medu1.run.channel import METRICS
from verl_medu1.run_folder.checkpoints import TRACKER, newest_model, step_folder

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(1500)]
LOOPS = """- name: medu1_episode
  _target_: tests.e2e.recording_loop.RecordingLoop
"""
QUESTIONS, SAMPLES, STEPS = 6, 4, 2


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_searches_are_trained_and_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoTokenizer

    # The run's processes import the recording loop.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    data, index, model, warm, run = (tmp_path / name for name in ("data", "index", "model", "warm", "run"))
    loops = tmp_path / "loops.yaml"
    loops.write_text(LOOPS)
    medu1("prepare", "--source", "quickstart-lookup", "--train", 64, "--warmup", 1600, "--out", data)
    medu1("index", "build", data / "corpus.parquet", "--out", index)
    medu1("model", "tiny", "--data", data, "--out", model)
    keys = {"run_dir": warm, "model.path": model, "data.train_files": data / "warmup.parquet"}
    medu1("sft", "recipe=lookup-cpu", *(f"{key}={value}" for key, value in keys.items()))
    start = newest_model(warm)
    keys = {
        "run_dir": run,
        "data.train_files": data / "train.parquet",
        "data.val_files": data / "test.parquet",
        "actor_rollout_ref.model.path": start,
        "actor_rollout_ref.rollout.agent.agent_loop_config_path": loops,
        "episodes.settings.index": index,
        "data.train_batch_size": QUESTIONS,
        "actor_rollout_ref.actor.ppo_mini_batch_size": QUESTIONS,
        "actor_rollout_ref.rollout.n": SAMPLES,
        # The trainer computes the log-probabilities of the rollout again, and logs how far the two are apart.
        "algorithm.rollout_correction.bypass_mode": "false",
        "trainer.total_training_steps": STEPS,
        "trainer.save_freq": 1,
    }
    medu1("train", "recipe=lookup-cpu", *(f"{key}={value}" for key, value in keys.items()))

    tokenizer = AutoTokenizer.from_pretrained(start)
    records = [row for file in (run / RECORDS).iterdir() for row in rows(file)]
    assert len(records) == QUESTIONS * SAMPLES * STEPS
    for record in records:
        check_tokens(record, tokenizer)
    assert len({record["episode"]["ended"] for record in records}) > 1
    assert max(len(record["episode"]["spans"]) for record in records) >= 3

    answers = [row for step in range(1, STEPS + 1) for row in rows(run / "rollouts" / f"{step}.jsonl")]
    dialogues = Counter(json.dumps(record["episode"]["said"], ensure_ascii=False) for record in records)
    assert Counter(answer["dialogue"] for answer in answers) == dialogues
    for answer in answers:
        said = json.loads(answer["dialogue"])
        assert answer["turns"] == sum(role == "assistant" for role, _ in said)
        assert answer["acc"] <= ("<answer>" in said[-1][1])
    for metrics in rows(run / METRICS):
        # Rollout and trainer agree on the tokens of the model; those of the environment are in neither.
        assert metrics["data"]["training/rollout_probs_diff_mean"] < 1e-4
        assert metrics["data"]["reward/quickstart-lookup/turns/mean"] > 1

    # Stopped after its first step and started again, it holds the same conversations in its second.
    resumed = tmp_path / "resumed"
    shutil.copytree(step_folder(run / "checkpoints", 1), step_folder(resumed / "checkpoints", 1))
    (resumed / "checkpoints" / TRACKER).write_text("1")
    medu1("train", "recipe=lookup-cpu", *(f"{key}={value}" for key, value in (keys | {"run_dir": resumed}).items()))
    assert not (resumed / "rollouts" / "1.jsonl").exists()
    again, before = (rows(folder / "rollouts" / "2.jsonl") for folder in (resumed, run))
    assert sorted(answer["dialogue"] for answer in again) == sorted(answer["dialogue"] for answer in before)

    medu1("eval", "--model", run, "--data", data / "test.parquet", "--max-tokens", 128, "--out", tmp_path / "eval")
    samples = rows(tmp_path / "eval" / "samples.jsonl")
    assert len(samples) == 90 and max(sample["turns"] for sample in samples) >= 3
    found = [search for sample in samples for search in json.loads(sample["facts"])["searches"]]
    assert found and all("documents" in search for search in found)
    medu1("report", run, "--out", tmp_path / "report.html")
    assert 'class="part turn environment"' in (tmp_path / "report.html").read_text()
    assert "Traceback" not in tail(run / "logs" / "console.log")


def check_tokens(record: dict[str, Any], tokenizer: Any) -> None:
    """The tokens are the chat template's, and those of the model alone are trained."""
    ids, mask, said = record["response_ids"], record["mask"], record["episode"]["said"]
    messages = [*record["prompt"], *({"role": role, "content": text} for role, text in said)]
    text = tokenizer.decode(record["prompt_ids"] + ids)
    rendered = tokenizer.apply_chat_template(messages, tokenize=False)
    # A turn that is cut off, and the last one, end without what the template writes after a turn.
    assert rendered.startswith(text) and rendered.removeprefix(text) in ("\n", "<|im_end|>\n")
    written = [ids[start:end] for start, end in record["episode"]["spans"]]
    assert [token for token, is_model in zip(ids, mask, strict=True) if is_model] == [*chain(*written)]
    turns = [tokenizer.decode(turn, skip_special_tokens=True) for turn in written]
    assert turns == [text for role, text in said if role == "assistant"]
