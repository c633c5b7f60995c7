"""A training whose judge runs in verl's pool of reward models: Ray, vLLM twice, verl's router."""

import json
import string
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("openai", reason="the package openai is not installed (pip install verl-medu1[judge])")

from tests.e2e.runs import MEDU1, command
from tests.uniform_model import build_uniform_model
from verl_medu1.checks.prompts import SHORTEST

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(900)]
POSITIONS = 4096
# What half of the policy's tokens say: right answers in words that no rule takes for right.
ANSWERS = [
    f"<think>a</think><answer>{first}{second} attack</answer>"
    for first in string.ascii_lowercase[:16]
    for second in string.ascii_lowercase[:16]
]
# The shortest well-formed answer is one token, too, so that the check before the start lets a response have one. With
# 256 bytes and the end, they make 512 tokens for two ranks.
ANSWERS[:2] = [SHORTEST]


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    from tokenizers import pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    build_uniform_model(tmp_path / "model", alphabet, POSITIONS, ANSWERS)
    build_uniform_model(tmp_path / "judge", alphabet, POSITIONS)
    rows = [{"question": f"What happened to patient {i}?", "answer": "Myocardial infarction"} for i in range(16)]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    prepare = ["prepare", "--source", f"own={tmp_path}/own.jsonl:open_ended", "--out", f"{tmp_path}/data"]
    done = subprocess.run([*MEDU1, *prepare], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return tmp_path


def test_the_pool_gives_verdicts(inputs, tmp_path):
    overrides = ["judge=pool", f"reward.reward_model.model_path={inputs}/judge", "scoring.judge.max_failed_share=0"]
    overrides += [
        "data.max_prompt_length=2048",
        "data.max_response_length=1",
        "actor_rollout_ref.rollout.max_model_len=2049",
        "trainer.total_training_steps=2",
    ]
    overrides += ["trainer.val_before_train=false", "trainer.test_freq=-1", "trainer.save_freq=-1"]
    overrides += ["algorithm.length_penalty.where=off"]
    done = subprocess.run(command(inputs, tmp_path / "run", *overrides), capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    rows = [json.loads(line) for line in (tmp_path / "run" / "rollouts" / "1.jsonl").read_text().splitlines()]
    asked = [row for row in rows if row["judge_asked"]]
    assert asked and not any(row["judge_failed"] for row in rows)
    # The judge's probabilities are about one half: it says yes and no.
    assert {row["acc"] for row in rows if not row["judge_asked"]} <= {0.0}
    assert all(" attack" in row["output"] for row in asked)
