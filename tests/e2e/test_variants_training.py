"""Each variant of the algorithm in a real training: three steps, and the advantages of the first by NumPy."""

import json
import math
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.config.test_variants import VARIANTS
from tests.e2e.runs import MEDU1, command
from tests.uniform_model import build_uniform_model
from verl_medu1.checks.prompts import SHORTEST
from verl_medu1.run.channel import METRICS

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(900)]
# Half of the policy's tokens are a whole answer each, right for one question in four: with one token to a response,
# groups have right, wrong and malformed answers. The shortest well-formed one is among them, so that the check before
# the start lets a response have one token. With 256 bytes and the end, they make 512 tokens for two ranks.
ANSWERS = [SHORTEST, *(f"<think>{number}</think><answer>{'ABCD'[number % 4]}</answer>" for number in range(254))]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tokenizers import pre_tokenizers

    folder = tmp_path_factory.mktemp("inputs")
    build_uniform_model(folder / "model", sorted(pre_tokenizers.ByteLevel.alphabet()), 2048, ANSWERS)
    options = ["Aspirin", "Heparin", "Insulin", "Iron"]
    rows = [{"question": f"What does patient {i} get?", "options": options, "answer": "ABCD"[i % 4]} for i in range(64)]
    (folder / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    prepare = ["prepare", "--source", f"own={folder}/own.jsonl:multiple_choice", "--out", f"{folder}/data"]
    done = subprocess.run([*MEDU1, *prepare], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def standardised(rewards: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Each reward without its group's mean, divided by its group's deviation."""
    found = np.zeros_like(rewards)
    for group in set(groups):
        of_group = rewards[groups == group]
        found[groups == group] = (of_group - of_group.mean()) / (of_group.std(ddof=1) + 1e-6)
    return found


def over_batch(rewards: np.ndarray) -> np.ndarray:
    """Normalised over the tokens of the batch, of which each response has one."""
    return (rewards - rewards.mean()) / np.sqrt(rewards.var(ddof=1) + 1e-8)


def advantages(variant: str, rows: list[dict[str, Any]]) -> np.ndarray:
    """The variant's formula, on what the rollout's dump says of each response."""
    groups = np.array([row["input"] for row in rows])
    rewards, kept = (np.array([row[key] for row in rows], dtype=float) for key in ("score", "format"))
    means = np.array([rewards[groups == group].mean() for group in groups])
    size = len(rows) // len(set(groups))
    match variant:
        case "dr_grpo":
            return rewards - means
        case "rloo":
            return (rewards - means) * size / (size - 1)
        case "reinforce_pp":
            return over_batch(rewards)
        case "gdpo":
            right = np.array([row["acc"] for row in rows], dtype=float)
            return over_batch(standardised(right, groups) + standardised(kept, groups))
        case _:
            return standardised(rewards, groups)


@pytest.mark.parametrize("variant", VARIANTS)
def test_three_steps(inputs, tmp_path, variant):
    overrides = [
        f"variant={variant}",
        "data.max_prompt_length=1024",
        "data.max_response_length=1",
        "actor_rollout_ref.rollout.max_model_len=1025",
    ]
    overrides += ["algorithm.length_penalty.where=off", "actor_rollout_ref.rollout.n=8", "trainer.save_freq=-1"]
    overrides += ["trainer.total_training_steps=3", "trainer.val_before_train=false", "trainer.test_freq=-1"]
    done = subprocess.run(command(inputs, tmp_path / "run", *overrides), capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    steps = [json.loads(line)["data"] for line in (tmp_path / "run" / METRICS).read_text().splitlines()]
    steps = [step for step in steps if "actor/grad_norm" in step]
    assert len(steps) == 3 and all(math.isfinite(step["actor/grad_norm"]) for step in steps)
    rows = [json.loads(line) for line in (tmp_path / "run" / "rollouts" / "1.jsonl").read_text().splitlines()]
    assert {row["score"] for row in rows} == {0.0, 1.0}
    if variant == "dapo":  # dynamic sampling: no group is all right or all wrong
        for question in {row["input"] for row in rows}:
            assert len({row["score"] for row in rows if row["input"] == question}) == 2
    expected = advantages(variant, rows)
    for name, value in {"max": expected.max(), "min": expected.min(), "mean": expected.mean()}.items():
        assert steps[0][f"critic/advantages/{name}"] == pytest.approx(value, abs=1e-6), name
