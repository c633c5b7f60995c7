"""How much of the length term the floor leaves, by estimator and by how many answers of a group are right.

python benchmarks/length_floor.py
"""

from typing import Annotated, Any

import numpy as np
import torch
import typer
from verl.trainer.ppo.core_algos import (
    compute_gae_advantage_return,
    compute_grpo_outcome_advantage,
    compute_reinforce_plus_plus_outcome_advantage,
    compute_rloo_outcome_advantage,
)

ESTIMATORS = ("grpo", "rloo", "reinforce_plus_plus", "gae", "gae, critic of zeros")
RIGHT = (2, 4, 8, 12, 14, 15, 16)


def sampled(groups: int, responses: int, tokens: int, weight: float) -> dict[str, Any]:
    """Draw groups with any number of right answers, their lengths, and relative_distance's values for a maximum."""
    draw = np.random.default_rng(0)
    group = np.repeat(np.arange(groups), responses)
    solve_rate = np.repeat(draw.uniform(0, 1, groups), responses)
    correct = draw.uniform(size=len(group)) < solve_rate
    lengths = draw.integers(1, tokens + 1, len(group))
    score = 1 - 2 * np.minimum(1, np.maximum(0, lengths - tokens / 2) / (tokens / 2))
    mask = np.arange(tokens) < lengths[:, None]
    rewards = np.zeros(mask.shape, dtype=np.float32)
    rewards[np.arange(len(group)), lengths - 1] = correct
    # A critic that begins at the question's solve rate and learns the verdict while it reads, with noise.
    read = np.arange(tokens) / lengths[:, None]
    values = solve_rate[:, None] + (correct - solve_rate)[:, None] * read**2 + 0.1 * draw.standard_normal(mask.shape)
    return {
        "group": group,
        "correct": correct,
        "score": torch.from_numpy(score).float(),
        "mask": torch.from_numpy(mask).float(),
        "rewards": torch.from_numpy(rewards),
        "values": torch.from_numpy(values * mask).float(),
        "weight": weight,
    }


def estimated(batch: dict[str, Any], name: str) -> torch.Tensor:
    """Return verl's advantages."""
    rewards, mask, group = batch["rewards"], batch["mask"], batch["group"]
    if name.startswith("gae"):
        values = batch["values"] if name == "gae" else torch.zeros_like(rewards)
        return compute_gae_advantage_return(rewards, values, mask, torch.tensor(1.0), torch.tensor(0.95))[0]
    if name == "rloo":
        return compute_rloo_outcome_advantage(rewards, mask, group)[0]
    if name == "reinforce_plus_plus":
        config = type("Config", (), {"gamma": 1.0})
        return compute_reinforce_plus_plus_outcome_advantage(rewards, mask, config)[0]
    return compute_grpo_outcome_advantage(rewards, mask, group)[0]


def factor(low: np.ndarray, high: np.ndarray, correct: np.ndarray, asked: np.ndarray) -> float:
    """The share of what is asked for that a group's floor leaves; answers are compared by `low` and `high`."""
    factors = [1.0]
    for start, wish in zip(low[correct], asked[correct], strict=True):
        floor = max([*high[~correct], *([0.0] if start > 0 else [])], default=-np.inf)
        if wish < 0:
            factors.append(max(0.0, start - floor) / -wish)
    return min(factors)


def asked_for(weight: float, score: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Return weight * (value - mean value of the group's right answers) for right answers, 0 for others."""
    return np.where(correct, weight * (score - score[correct].mean()), 0.0)


def by_estimator(batch: dict[str, Any]) -> None:
    """Print how much of the term groups with right and wrong answers get, comparing by single tokens and by means."""
    groups = [np.flatnonzero(batch["group"] == label) for label in np.unique(batch["group"])]
    groups = [rows for rows in groups if 0 < batch["correct"][rows].sum() < len(rows)]
    mask, score = batch["mask"].numpy() > 0, batch["score"].numpy()
    typer.echo("| estimator | compared by | right answers moved | share of the term | right ones below a wrong one |")
    typer.echo("|---|---|---|---|---|")
    for name in ESTIMATORS:
        advantages = estimated(batch, name).numpy()
        mean = np.array([row[inside].mean() for row, inside in zip(advantages, mask, strict=True)])
        low = np.where(mask, advantages, np.inf).min(1)
        high = np.where(mask, advantages, -np.inf).max(1)
        for rule, lower, upper in (("single tokens", low, high), ("means", mean, mean)):
            moved = right = below = 0
            applied = whole = 0.0
            for rows in groups:
                correct = batch["correct"][rows]
                asked = asked_for(batch["weight"], score[rows], correct)
                share = factor(lower[rows], upper[rows], correct, asked)
                after = mean[rows] + share * asked
                moved += int((share * asked != 0).sum())
                right += int(correct.sum())
                below += int((after[correct] < after[~correct].max() - 1e-6).sum())
                applied += share * np.abs(asked).sum()
                whole += np.abs(asked).sum()
            typer.echo(f"| {name} | {rule} | {moved} of {right} | {applied / whole:.2f} | {below} |")


def by_right_answers(batch: dict[str, Any], responses: int) -> None:
    """Print the mean factor over groups in which a given number of answers is right."""
    typer.echo(f"\n| right of {responses} | {' | '.join(map(str, RIGHT))} |\n|---|{'---|' * len(RIGHT)}")
    for name in ("grpo", "grpo, norm_adv_by_std_in_grpo=false"):
        means = []
        for number in RIGHT:
            factors = []
            for label in np.unique(batch["group"]):
                rows = np.flatnonzero(batch["group"] == label)
                correct = np.arange(responses) < number
                reward = correct.astype(float)
                level = reward - reward.mean()
                if name == "grpo" and level.any():
                    level /= reward.std(ddof=1)
                asked = asked_for(batch["weight"], batch["score"].numpy()[rows], correct)
                factors.append(factor(level, level, correct, asked))
            means.append(f"{np.mean(factors):.2f}")
        typer.echo(f"| {name} | {' | '.join(means)} |")


def main(
    groups: Annotated[int, typer.Option(min=1)] = 64,
    responses: Annotated[int, typer.Option(min=16)] = 16,
    tokens: Annotated[int, typer.Option(min=2)] = 64,
    weight: Annotated[float, typer.Option(min=0)] = 0.5,
) -> None:
    """Print both tables as Markdown."""
    batch = sampled(groups, responses, tokens, weight)
    by_estimator(batch)
    by_right_answers(batch, responses)


if __name__ == "__main__":
    typer.run(main)
