"""Rows under a data use agreement are sent to no other machine, whoever's source they are of."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf

from reward_score import known_sources
from reward_score.loopback import is_loopback
from reward_score.registry import find_source
from verl_medu1.data.credentialed import WANDB_CONSOLE, credentialed_violations
from verl_medu1.data.sources import READERS

HERE, ELSEWHERE = "http://127.0.0.1:8000/v1", "https://judge.example.org/v1"


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        (HERE, True),
        ("http://localhost:8000", True),
        ("http://LOCALHOST/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://127.8.8.8/v1", True),
        ("http://127.0.0.1@example.org/v1", False),
        ("http://127.0.0.1.example.org/v1", False),
        ("http://localhost.example.org/v1", False),
        ("http://example.org/127.0.0.1", False),
        ("http://0.0.0.0:8000/v1", False),
        ("http://10.0.0.1:8000/v1", False),
        ("http://[::ffff:10.0.0.1]/v1", False),
        ("http://[broken/v1", False),
        ("localhost:8000", False),
        ("", False),
    ],
)
def test_which_addresses_are_on_this_machine(url, is_here):
    assert is_loopback(url) == is_here


def test_the_reader_and_the_scorer_agree_on_what_is_credentialed():
    assert [name for name in known_sources() if find_source(name)[0].credentialed] == ["EHRNoteQA"]
    assert [name for name, reader in READERS.items() if reader.credentialed] == ["ehrnoteqa"]


def rows_of(folder: Path, *sources: str) -> str:
    file = folder / f"{'-'.join(sources)}.parquet"
    pq.write_table(pa.table({"data_source": list(sources)}), file)
    return str(file)


def settings(**changed: object) -> dict:
    plain = {"scoring.judge.base_url": None, "trainer.logger": ["console", "tensorboard", "file"]}
    plain |= {"trainer.log_val_generations": 0, "actor_rollout_ref.rollout.trace.backend": None, WANDB_CONSOLE: "off"}
    config = OmegaConf.create()
    for key, value in {**plain, **changed}.items():
        OmegaConf.update(config, key, value)
    return config


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({}, None),
        ({"scoring.judge.base_url": HERE}, None),
        ({"scoring.judge.base_url": ELSEWHERE}, "scoring.judge.base_url"),
        ({"trainer.logger": ["console", "wandb"]}, None),
        ({"trainer.log_val_generations": 5}, None),
        ({"trainer.log_val_generations": 5, "trainer.logger": ["wandb", "file"]}, "trainer.log_val_generations"),
        ({"trainer.log_val_generations": 5, "trainer.logger": "mlflow"}, "trainer.log_val_generations"),
        ({"trainer.logger": ["file", "mlflow"]}, None),
        ({"trainer.logger": ["file", "clearml"]}, "trainer.logger"),
        ({"trainer.logger": ["file", "wandb"], WANDB_CONSOLE: "auto"}, WANDB_CONSOLE),
        ({WANDB_CONSOLE: "auto"}, None),
        ({"actor_rollout_ref.rollout.trace.backend": "weave"}, "actor_rollout_ref.rollout.trace.backend"),
    ],
)
def test_a_training_that_would_send_them_is_refused(tmp_path, changed, named):
    train, test = rows_of(tmp_path, "MedQA"), rows_of(tmp_path, "MedQA", "EHRNoteQA")
    found = list(credentialed_violations(settings(**changed), [train, test]))
    assert [sentence.partition(" ")[0] for sentence in found] == ([named] if named else [])
    assert all("EHRNoteQA" in sentence for sentence in found)
    assert list(credentialed_violations(settings(**changed), [train])) == []


WARD = """
from reward_score import Source
SCORERS = [Source("ward-notes", "open_ended", {"threshold": 0.5}, credentialed=True)]
"""


@pytest.fixture
def with_ward_notes(tmp_path: Path) -> dict[str, str]:
    """An environment with a package that adds a credentialed source of its own."""
    info = tmp_path / "site" / "ward-1.0.dist-info"
    info.mkdir(parents=True)
    (tmp_path / "site" / "ward.py").write_text(WARD)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ward\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[medu1.scorers]\nward = ward:SCORERS\n")
    paths = [str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def test_another_packages_credentialed_rows_are_evaluated_by_no_server_elsewhere(tmp_path, with_ward_notes):
    from verl_medu1.data.schema import QUESTIONS

    row = {
        "data_source": "ward-notes",
        "prompt": [{"role": "user", "content": "What does she have?"}],
        "ability": "open_ended",
        "reward_model": {"style": "rule", "ground_truth": "Appendicitis"},
        "extra_info": {
            **{"split": "test", "index": 0, "row_id": "ward/0", "question": "What does she have?"},
            **{"budget_mode": "none", "budget_tokens": 0, "budget_counts": "response"},
        },
    }
    pq.write_table(pa.Table.from_pylist([row], schema=QUESTIONS), tmp_path / "data.parquet")
    arguments = ["--model", "m", "--data", tmp_path / "data.parquet", "--out", tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "-m", "verl_medu1.cli.app", "eval", "--endpoint", ELSEWHERE, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=with_ward_notes,
        timeout=100,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr == (
        "medu1: --data has rows of ward-notes, which may not leave this machine; serve the model on 127.0.0.1.\n"
    )
    assert not (tmp_path / "out").exists()


def test_another_packages_credentialed_rows_are_sent_to_no_judge_elsewhere(with_ward_notes):
    """Whatever the settings passed: the judge itself asks nobody, or an address that can't be reached is an error."""
    program = """
import asyncio, sys
from reward_score.judge import Judge, JudgeSettings, compute_judged_score

async def error(url, source):
    judge = Judge(JudgeSettings(base_url=url, model="judge", timeout_s=5, retries=0))
    row = (source, "<think>a</think><answer>Inflamed appendix</answer>", "Appendicitis")
    return (await compute_judged_score(judge, *row, {"question": "?"}))["error"]

for url in ("http://judge.invalid/v1", "http://127.0.0.1:9/v1"):
    print(*(asyncio.run(error(url, source)) for source in ("ward-notes", "medical-o1-verifiable-problem")))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=with_ward_notes, timeout=100
    )
    assert done.stdout.split("\n")[:2] == ["0.0 1.0", "1.0 1.0"], done.stderr
