"""benchmarks/study.py from published files to its tables: stopped and continued, and nothing held out is trained on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from tests.e2e.runs import medu1, processes_of
from tests.real_data import real_file

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(1800)]

STUDY = Path(__file__).resolve().parents[2] / "benchmarks" / "study.py"


def make_study(folder: Path) -> list[str]:
    """A study of a random model, with some rows of the published files; returns its command."""
    files = folder / "files"
    files.mkdir()
    items = json.loads(real_file("medcalc.json").read_text())
    # The random model reads few characters in a token, and 512 tokens.
    (files / "medcalc.json").write_text(json.dumps(sorted(items, key=lambda item: len(item["problem"]))[:12]))
    pq.write_table(
        pq.read_table(real_file("medmcqa_validation.parquet")).slice(0, 60), files / "medmcqa_validation.parquet"
    )
    medu1("prepare", "--source", "synthetic-calc=100", "--warmup", 80, "--out", folder / "texts")
    medu1("model", "tiny", "--data", folder / "texts", "--out", folder / "model")
    study = {
        "model": str(folder / "model"),
        "data": {
            "formulas": ["glasgow_coma_scale", "map"],
            "unseen_formulas": ["bmi"],
            "generated": 60,
            "unseen": 6,
            "medmcqa": 40,
            "test_share": 0.2,
            "budgets": ["max:fixed:16,32"],
            "prompt_tokens": 224,
        },
        "cold_start": {"demonstrations": 16, "settings": {"trainer.total_epochs": 1, "data.max_length": 512}},
        "recipe": "quickstart",
        "settings": {
            "data.train_batch_size": 4,
            "data.max_prompt_length": 256,
            "data.max_response_length": 32,
            "actor_rollout_ref.rollout.max_model_len": 288,
            "actor_rollout_ref.rollout.n": 4,
            "actor_rollout_ref.actor.ppo_mini_batch_size": 4,
            "trainer.total_training_steps": 2,
            "trainer.save_freq": 1,
        },
        "cells": {
            "ours": {"seeds": [0], "settings": {}},
            "release": {
                "seeds": [0],
                "settings": {"scoring.scheme": "release", "algorithm.length_penalty.where": "off"},
            },
        },
        "pass_rates": {"samples": 1, "max_tokens": 32, "dtype": "float32"},
        # A random model answers nothing right.
        "selection": {"band": "0:1", "confidence": 0, "cap": "MedMCQA=20"},
        "evaluation": {"samples": 2, "max_tokens": 32, "dtype": "float32"},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return [
        sys.executable,
        str(STUDY),
        str(files),
        "--config",
        str(folder / "study.yaml"),
        "--out",
        str(folder / "out"),
    ]


def texts(file: Path, column: str) -> set[str]:
    return {
        next(one["content"] for one in row[column] if one["role"] == "user") for row in pq.read_table(file).to_pylist()
    }


def test_it_goes_on_where_it_was_stopped_and_trains_on_nothing_held_out(tmp_path: Path) -> None:
    command, out = make_study(tmp_path), tmp_path / "out"
    run = out / "0" / "ours"
    first_step, checkpoint = run / "rollouts" / "1.jsonl", run / "checkpoints" / "latest_checkpointed_iteration.txt"
    study = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    try:
        while not (first_step.is_file() and checkpoint.is_file()):
            assert study.poll() is None, study.stderr.read()  # type: ignore[union-attr]
            time.sleep(0.5)
        written = first_step.stat().st_mtime_ns
    finally:
        # As Ctrl-C does: the whole group hears it.
        os.killpg(study.pid, signal.SIGINT)
    assert study.wait(60)
    deadline = time.monotonic() + 60
    while processes_of(out) and time.monotonic() < deadline:
        time.sleep(1)
    assert not processes_of(out)

    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert first_step.stat().st_mtime_ns == written
    shown = ("cold-start", "ours", "release", "release less ours", "unseen formulas", "max 16")
    assert all(cell in done.stdout for cell in shown)
    other = subprocess.run([*command, "--tables", "--seed", "1"], capture_output=True, text=True)
    assert other.returncode and "--seed 1" in other.stderr
    figure = tmp_path / "study.svg"
    again = subprocess.run([*command, "--tables", "--plot", str(figure)], capture_output=True, text=True)
    assert again.stdout == done.stdout and "release" in figure.read_text()

    held_out = texts(out / "0" / "data" / "test.parquet", "prompt")
    held_out |= texts(out / "unseen" / "train.parquet", "prompt") | texts(out / "medcalc" / "train.parquet", "prompt")
    assert not held_out & texts(out / "0" / "data" / "train.parquet", "prompt")
    assert not held_out & texts(out / "0" / "selected" / "train.parquet", "prompt")
    assert not held_out & texts(out / "0" / "data" / "warmup.parquet", "messages")

    (tmp_path / "study.yaml").write_text((tmp_path / "study.yaml").read_text().replace("samples: 2", "samples: 3"))
    changed = subprocess.run(command, capture_output=True, text=True)
    assert changed.returncode and "has the results of other settings" in changed.stderr
