"""TRL's GRPO trainer in this process, one JSON line with the seconds of each step; step_time.py starts it."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import pyarrow.parquet as pq
import torch
import typer
from datasets import Dataset
from transformers import AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from reward_score import compute_score


class StepTimes(TrainerCallback):
    """Seconds from the beginning to the end of each step: rollout, reward and update."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._started = time.monotonic()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.seconds.append(time.monotonic() - self._started)
        print(f"step {len(self.seconds)}: {self.seconds[-1]:.1f} s", file=sys.stderr, flush=True)


def reward(completions: Any, data_source: Any, ground_truth: Any, extra_info: Any, **_: Any) -> list[float]:
    """The reward that our trainer gives."""
    rows = zip(completions, data_source, ground_truth, extra_info, strict=True)
    return [compute_score(source, turns[-1]["content"], gold, extra)["score"] for turns, source, gold, extra in rows]


def main(
    model: Annotated[Path, typer.Option()],
    data: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
    prompts: Annotated[int, typer.Option()],
    answers: Annotated[int, typer.Option()],
    response: Annotated[int, typer.Option()],
    micro: Annotated[int, typer.Option()],
    steps: Annotated[int, typer.Option()],
    lr: Annotated[float, typer.Option()],
) -> None:
    """Train for `steps` steps of `prompts` questions with `answers` answers of at most `response` tokens each.

    The update takes `micro` answers at a time.
    """
    rows = [
        {
            "prompt": row["prompt"],
            "data_source": row["data_source"],
            "ground_truth": row["reward_model"]["ground_truth"],
            "extra_info": row["extra_info"],
        }
        for row in pq.read_table(data).slice(0, prompts * steps).to_pylist()
    ]
    times = StepTimes()
    trainer = GRPOTrainer(
        model=str(model),
        reward_funcs=reward,
        args=GRPOConfig(
            output_dir=str(out),
            use_cpu=not torch.cuda.is_available(),
            per_device_train_batch_size=micro,
            gradient_accumulation_steps=prompts * answers // micro,
            num_generations=answers,
            max_completion_length=response,
            max_steps=steps,
            learning_rate=lr,
            lr_scheduler_type="constant",
            beta=0.0,
            bf16=False,
            gradient_checkpointing=False,
            model_init_kwargs={"dtype": "float32"},
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(model),
        callbacks=[times],
    )
    trainer.train()
    json.dump(times.seconds, sys.stdout)


if __name__ == "__main__":
    typer.run(main)
