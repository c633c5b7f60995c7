"""Time of verl's importance weights per token, and how far they are from 1, on random log-probs.

python benchmarks/rollout_correction.py
"""

import statistics
import time
from typing import Annotated

import torch
import typer
from verl import DataProto
from verl.trainer.config.algorithm import RolloutCorrectionConfig
from verl.trainer.ppo.rollout_corr_helper import compute_rollout_correction_and_add_to_batch

# Standard deviation of the difference between two log-probs of a token. In float32 they agree to the seventh digit; the
# second is a guess at BF16.
NOISE = {"float32": 1e-6, "BF16": 0.02}


def main(
    responses: Annotated[int, typer.Option(min=1)] = 96,
    tokens: Annotated[int, typer.Option(min=1)] = 40,
    repetitions: Annotated[int, typer.Option(min=1)] = 5,
) -> None:
    """Print the median and the range of the seconds without and with weights, as Markdown."""
    typer.echo(f"{responses} responses of {tokens} tokens, {torch.get_num_threads()} threads, n = {repetitions}\n")
    typer.echo("| log-probs differ by | metrics alone, s | with weights, s | largest abs(weight - 1) |")
    typer.echo("|---|---|---|---|")
    for precision, deviation in NOISE.items():
        draw = torch.Generator().manual_seed(0)
        rollout = -torch.rand(responses, tokens, generator=draw)
        tensors = {
            "rollout_log_probs": rollout,
            "old_log_probs": rollout + deviation * torch.randn(responses, tokens, generator=draw),
            "response_mask": torch.ones(responses, tokens, dtype=torch.int64),
        }
        cells = []
        for level in (None, "token"):
            config = RolloutCorrectionConfig(rollout_is=level, rollout_is_threshold=2.0)
            seconds = []
            for _ in range(repetitions):
                batch = DataProto.from_dict(tensors=dict(tensors))
                started = time.perf_counter()
                batch, _ = compute_rollout_correction_and_add_to_batch(batch, config)
                seconds.append(time.perf_counter() - started)
            cells.append(f"{statistics.median(seconds):.3f} ({min(seconds):.3f} to {max(seconds):.3f})")
        furthest = float((batch.batch["rollout_is_weights"] - 1).abs().max())
        typer.echo(f"| {deviation:g} ({precision}) | {' | '.join(cells)} | {furthest:.1e} |")


if __name__ == "__main__":
    typer.run(main)
