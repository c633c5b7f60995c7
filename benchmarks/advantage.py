"""Time of the advantage hook beside verl's own GRPO estimator, on the same tensors, in one run.

python benchmarks/advantage.py
"""

import statistics
import time
from collections.abc import Callable
from typing import Annotated

import numpy as np
import torch
import typer
from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage

from verl_medu1.length.advantage import shape_advantages

GRPO = "verl's grpo"


def main(
    prompts: Annotated[int, typer.Option(min=1)] = 1024,
    responses: Annotated[int, typer.Option(min=2, help="Number of responses to each prompt.")] = 16,
    tokens: Annotated[int, typer.Option(min=1)] = 4096,
    repetitions: Annotated[int, typer.Option(min=1)] = 5,
) -> None:
    """Print the median seconds of verl's estimator and of the hook, and their ratio, as Markdown."""
    rows = prompts * responses
    draw = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, tokens + 1, (rows,), generator=draw)
    mask = (torch.arange(tokens) < lengths.unsqueeze(1)).float()
    correct = torch.rand(rows, generator=draw) < 0.5
    rewards = torch.zeros(rows, tokens)
    rewards[torch.arange(rows), lengths - 1] = correct.float()
    index = np.repeat(np.arange(prompts), responses)
    score = torch.rand(rows, generator=draw) * 2 - 1

    def median(function: Callable[[], object]) -> float:
        times = []
        for _ in range(repetitions):
            started = time.perf_counter()
            function()
            times.append(time.perf_counter() - started)
        return statistics.median(times)

    base = compute_grpo_outcome_advantage(rewards, mask, index)[0]
    ours = base.clone()
    groups = torch.from_numpy(index)
    seconds = {
        GRPO: median(lambda: compute_grpo_outcome_advantage(rewards, mask, index)),
        # What any function takes that returns new advantages and reads none of the old ones twice.
        "a copy of the advantages": median(base.clone),
        "the hook": median(lambda: shape_advantages(base, mask, groups, correct, score, 0.5)),
        # As the trainer calls it.
        "the hook, in place": median(lambda: shape_advantages(ours, mask, groups, correct, score, 0.5, in_place=True)),
    }
    typer.echo(f"{prompts} x {responses} responses of up to {tokens} tokens, {torch.get_num_threads()} threads\n")
    typer.echo("| | seconds | of verl's grpo |\n|---|---|---|")
    for name, value in seconds.items():
        typer.echo(f"| {name} | {value:.2f} | {value / seconds[GRPO]:.0%} |")


if __name__ == "__main__":
    typer.run(main)
