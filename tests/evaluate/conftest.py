"""A generated run folder, written by the writers that a real run uses."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from verl_medu1.evaluate.summary import summarize
from verl_medu1.run_folder import evaluations

TYPES = {"demo_choice": "multiple_choice", "demo_calc": "calculation", "demo_open": "open_ended"}


def _sample(
    row_id: str, source: str = "demo_calc", right: bool = True, length: int = 40, budget: int = 50, **changes: Any
) -> dict[str, Any]:
    """A row of samples.jsonl."""
    answer = "12.5" if right else "99"
    sample = {
        "row_id": row_id,
        "sample": 0,
        "data_source": source,
        "asked_as": "as_prepared",
        "prompt": [
            {"role": "system", "content": "Think, then answer."},
            {"role": "user", "content": f"Question {row_id}: what is the dose of 2.5 mg/kg for 5 kg?"},
        ],
        "ground_truth": "12.5",
        "response": f"<think>2.5 times 5 is {answer}.</think><answer>{answer}</answer>",
        "score": float(right),
        "acc": float(right),
        "format": 1.0,
        "pred": answer,
        "answer_type": TYPES.get(source, "open_ended"),
        "error": 0.0,
        "length": length,
        "truncated": 0.0,
        "counted_tokens": length,
        "budget_mode": "max" if budget else "none",
        "budget_tokens": budget,
        "budget_distance": float(max(0, length - budget)) if budget else 0.0,
    }
    return sample | changes


def _write_evaluation(folder: Path, samples: list[dict[str, Any]], parameters: int | None = 2_457_856) -> None:
    folder.mkdir(parents=True)
    model = {"path": "outputs/quickstart/model", "architecture": "Qwen2ForCausalLM", "parameters": parameters}
    evaluations.write_jsonl(folder / evaluations.SAMPLES, samples)
    evaluations.write_json(folder / evaluations.SUMMARY, {"model": model, **summarize(samples)})


def _write_scalars(folder: Path, steps: int, sources: list[str], gradient_norm: float) -> None:
    from torch.utils.tensorboard import SummaryWriter

    rng = random.Random(0)
    with SummaryWriter(str(folder)) as writer:
        for step in range(1, steps + 1):
            share = 0.3 + 0.5 * step / steps
            values = {
                "critic/score/mean": share + rng.uniform(-0.1, 0.1),
                "response_length/mean": 90 - 40 * share,
                "actor/grad_norm": gradient_norm,
                "training/rollout_probs_diff_mean": 5e-6 * (1 + step / 10),
                "perf/throughput": 800 + rng.uniform(-50, 50),
                "timing_s/step": 4.0,
                "timing_s/gen": 1.5,
                "timing_s/old_log_prob": 0.7,
                "timing_s/update_actor": 1.2,
                "timing_s/update_weights": 0.3,
            }
            if step % 10 == 0:
                values["timing_s/save_checkpoint"] = 0.8
                values["timing_s/step"] += 0.8
            for source in sources:
                for name in ("acc", "format", "score", "over_budget"):
                    values[f"reward/{source}/{name}/mean"] = min(1.0, max(0.0, share + rng.uniform(-0.2, 0.2)))
                values[f"reward/{source}/length/mean"] = 90 - 40 * share + rng.uniform(-9, 9)
                values[f"advantage/{source}/all_wrong_groups"] = 0.5 - share / 3
                values[f"advantage/{source}/all_right_groups"] = share / 4
                values[f"advantage/{source}/moved_share_of_right"] = 0.8 - share / 2
                values[f"advantage/{source}/moved_mean_abs"] = 0.2 * share
                values[f"reward/{source}/budget_distance/mean"] = 40 - 40 * share + rng.uniform(-3, 3)
            for tag, value in values.items():
                writer.add_scalar(tag, value, step)


def _write_rollouts(folder: Path, steps: int, text: str = "") -> None:
    folder.mkdir(parents=True)
    for step in range(1, steps + 1):
        rows = []
        for i, (source, answer_type) in enumerate(TYPES.items()):
            right = (step + i) % 2 == 0
            answer = "12.5" if right else "99"
            rows.append(
                {
                    "input": f"system\nThink, then answer.\nuser\nQuestion {i} of step {step} {text}\nassistant\n",
                    "output": f"<think>I multiply. {text}</think><answer>{answer}</answer>",
                    "gts": "12.5",
                    "score": float(right),
                    "step": step,
                    "uid": f"{step}-{i}",
                    "data_source": source,
                    "answer_type": answer_type,
                    "acc": float(right),
                    "format": 1.0,
                    "pred": answer,
                    "length": 40.0,
                    "budget_mode": "exact",
                    "budget_tokens": 40.0,
                    "budget_distance": 3.0,
                }
            )
        (folder / f"{step}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def sample() -> Callable[..., dict[str, Any]]:
    """Makes a row of samples.jsonl."""
    return _sample


@pytest.fixture
def write_evaluation() -> Callable[..., None]:
    """Writes an evaluation's folder from its samples."""
    return _write_evaluation


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Makes a run folder with `steps` steps and `questions` held-out questions."""

    def make(
        steps: int = 3, questions: int = 12, text: str = "", gradient_norm: float = 1.0, name: str = "run"
    ) -> Path:
        rng = random.Random(1)
        run = tmp_path / name
        sources = list(TYPES)
        before = [_sample(f"q{i}", sources[i % 3], rng.random() < 0.3, 80) for i in range(questions)]
        after = [_sample(f"q{i}", sources[i % 3], rng.random() < 0.8, 52) for i in range(questions)]
        for sample in before:
            if rng.random() < 0.3:
                sample.update(response=f"the answer is 7 {text}", acc=0.0, score=0.0, format=0.0, pred="")
        for sample in [*before, *after]:
            sample["prompt"][1]["content"] += f" {text}"
        _write_evaluation(run / "eval" / "before", before)
        _write_evaluation(run / "eval" / "after", after)
        _write_scalars(run / "tensorboard", steps, sources, gradient_norm)
        _write_rollouts(run / "rollouts", steps, text)
        (run / "config.yaml").write_text("actor_rollout_ref:\n  rollout:\n    n: 8\n  model:\n    path: some/model\n")
        return run

    return make
