"""`medu1 quickstart` refuses at once what its model can't be cut into, and keys that don't exist."""

import subprocess
import sys

import pytest


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
