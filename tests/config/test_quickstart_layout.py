"""`medu1 quickstart` refuses at once what its model can't be cut into, and keys that don't exist."""

import subprocess
import sys

import pytest

from verl_medu1.cli import quickstart
from verl_medu1.run_folder import checkpoints


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--tp", "3"], "medu1: --tp is 3, which does not divide the model's 4 attention heads; use 1, 2, 4."),
        (["--pp", "0"], "medu1: --pp is 0, which does not divide the model's 2 layers; use 1, 2."),
    ],
)
def test_an_impossible_layout_is_one_sentence(tmp_path, options, sentence):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "verl_medu1.cli.app", "quickstart", *options, "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.strip()) == (2, sentence)
    assert not out.exists()


def test_an_unknown_key_is_refused_before_the_warm_up(tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "verl_medu1.cli.app", "quickstart", "trainer.save_frq=1", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "save_frq" in done.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("overrides", "judges"),
    [
        ([], False),
        (["trainer.save_freq=1"], False),
        (["scoring.judge.base_url=http://127.0.0.1:8000/v1"], True),
        (["judge=pool", "reward.reward_model.model_path=/models/judge"], True),
    ],
)
def test_a_judge_of_the_training_is_left_out_of_both_evaluations(tmp_path, monkeypatch, overrides, judges):
    monkeypatch.setattr(checkpoints, "newest_model", lambda run: run / "model")  # nothing is trained here
    commands = [command for _, command in quickstart._commands(tmp_path, [], 0, None, overrides)]
    evaluations = [command for command in commands if command[0] == "eval"]
    assert ["--judge" in command for command in evaluations] == [judges, judges]
