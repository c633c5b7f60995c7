"""How often the intervals of an evaluation cover the truth, and how often the paired test finds what is not there.

    python benchmarks/intervals.py [--simulations 2000] [--json]

Simulated models: each question has a probability of a right answer of its own, Beta(c * accuracy, c * (1 - accuracy)),
and n samples. Prints Markdown tables: the coverage of the interval of an accuracy beside that of the bootstrap's
percentiles, of the interval of a difference, and the share of equal models that the paired test tells apart at 5 %.
"""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
import typer

from verl_medu1.evaluate.statistics import difference_interval, score_interval, sign_flip_test

ACCURACIES = (0.02, 0.05, 0.1, 0.3, 0.5, 0.8, 0.95)
QUESTIONS = (50, 100, 221, 1000)
# (samples per question, c of the Beta distribution; None for questions that are all equally hard)
MODELS = ((1, 4.0), (4, 1.0), (4, 4.0), (8, None))
# Fewer expected right or wrong answers than these are the few where a share's interval is coarse.
ENOUGH = 5
RESAMPLES = 400
BOOTSTRAPPED = 400  # simulations of the bootstrap, which costs most


def answers(
    rng: np.random.Generator, simulations: int, questions: int, accuracy: float, samples: int, c: float | None
) -> np.ndarray:
    """(simulations, questions) share of right samples."""
    shape = (simulations, questions)
    if c is None:
        return rng.binomial(samples, accuracy, size=shape) / samples
    return rng.binomial(samples, rng.beta(c * accuracy, c * (1 - accuracy), size=shape)) / samples


def coverage(low: Any, high: Any, truth: float) -> float:
    """Percent of the intervals that hold the truth."""
    return 100 * float(np.mean((low <= truth) & (truth <= high)))


def percentile_coverage(rng: np.random.Generator, values: np.ndarray, truth: float) -> float:
    """Percent of the bootstrap's percentile intervals that hold the truth."""
    ends = [
        np.percentile(row[rng.integers(len(row), size=(RESAMPLES, len(row)))].mean(axis=1), (2.5, 97.5))
        for row in values[:BOOTSTRAPPED]
    ]
    return coverage(*np.transpose(ends), truth)


def accuracies(simulations: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Coverage of the interval of an accuracy, without the bootstrap's."""
    rng = np.random.default_rng(seed)
    for questions in QUESTIONS:
        for accuracy in ACCURACIES:
            for samples, c in MODELS:
                values = answers(rng, simulations, questions, accuracy, samples, c)
                ends = score_interval(values.mean(axis=1), values.var(axis=1), questions, samples)
                yield {
                    "questions": questions,
                    "accuracy": accuracy,
                    "samples": samples,
                    "c": c,
                    "enough": questions * min(accuracy, 1 - accuracy) >= ENOUGH,
                    "covered": coverage(*ends, accuracy),
                    "values": values,
                }


def pairs(
    rng: np.random.Generator, simulations: int, questions: int, accuracy: float, gain: float, samples: int, same: float
) -> tuple[np.ndarray, np.ndarray]:
    """Answers of two models: a share `same` of the questions is as hard for the second as for the first."""
    shape = (simulations, questions)
    first = rng.beta(4 * accuracy, 4 * (1 - accuracy), size=shape)
    other = rng.beta(4 * accuracy, 4 * (1 - accuracy), size=shape)
    second = np.where(rng.random(shape) < same, first, other)
    second += gain * (1 - second) / (1 - accuracy)
    return rng.binomial(samples, first) / samples, rng.binomial(samples, second) / samples


def differences(simulations: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Coverage of the interval of a difference."""
    rng = np.random.default_rng(seed)
    for questions in QUESTIONS:
        for accuracy, gain in ((0.5, 0.0), (0.5, 0.1), (0.3, 0.2), (0.8, 0.05)):
            for samples in (1, 4):
                for same in (0.0, 0.8):
                    before, after = pairs(rng, simulations, questions, accuracy, gain, samples, same)
                    change = after - before
                    ends = difference_interval(change.sum(axis=1), (change**2).sum(axis=1), questions)
                    yield {
                        "questions": questions,
                        "accuracy": accuracy,
                        "gain": gain,
                        "samples": samples,
                        "same": same,
                        "covered": coverage(*ends, gain),
                    }


def false_alarms(simulations: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Percent of pairs of equally good models with a p-value of at most 5 %."""
    rng = np.random.default_rng(seed)
    for questions in (30, 100, 400):
        for accuracy in (0.1, 0.5, 0.9):
            for samples in (1, 4):
                for same in (0.0, 1.0):
                    before, after = pairs(rng, simulations, questions, accuracy, 0.0, samples, same)
                    found = np.mean([sign_flip_test(row) <= 0.05 for row in after - before])
                    yield {
                        "questions": questions,
                        "accuracy": accuracy,
                        "samples": samples,
                        "same": same,
                        "alarms": 100 * float(found),
                    }


def _table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    for cells in (header, ("---",) * len(header), *rows):
        typer.echo(f"| {' | '.join(map(str, cells))} |")
    typer.echo()


def main(
    simulations: Annotated[int, typer.Option(min=100, help="Number of simulated evaluations of each kind.")] = 2000,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Measure coverage and level on simulated models."""
    rng = np.random.default_rng(1)
    ours = [
        row | {"bootstrap": percentile_coverage(rng, row.pop("values"), row["accuracy"])}
        for row in accuracies(simulations)
    ]
    changes, alarms = list(differences(simulations)), list(false_alarms(simulations))
    if as_json:
        typer.echo(json.dumps({"accuracy": ours, "difference": changes, "alarms": alarms}))
        return
    kinds = [(samples, c) for samples, c in MODELS]
    names = tuple(f"{samples} sample{'s' * (samples > 1)}, c {c or '–'}" for samples, c in kinds)
    cells = {(row["questions"], row["accuracy"], row["samples"], row["c"]): row for row in ours}
    _table(
        ("questions", "accuracy", *names),
        [
            (q, a, *(f"{cells[q, a, *kind]['covered']:.1f} ({cells[q, a, *kind]['bootstrap']:.0f})" for kind in kinds))
            for q in QUESTIONS
            for a in ACCURACIES
        ],
    )
    for name, rows in (
        ("at least", [r for r in ours if r["enough"]]),
        ("fewer than", [r for r in ours if not r["enough"]]),
    ):
        shares, old = [row["covered"] for row in rows], [row["bootstrap"] for row in rows]
        typer.echo(
            f"Accuracy, {name} {ENOUGH} right and wrong expected: {min(shares):.1f} to {max(shares):.1f} % "
            f"of {len(rows)} kinds; the bootstrap's percentiles {min(old):.1f} to {max(old):.1f} %."
        )
    shares = [row["covered"] for row in changes]
    typer.echo(f"Difference: {min(shares):.1f} to {max(shares):.1f} % of {len(shares)} kinds.")
    shares = [row["alarms"] for row in alarms]
    typer.echo(
        f"Paired test, equal models told apart at 5 %: {min(shares):.1f} to {max(shares):.1f} % of {len(shares)}."
    )


if __name__ == "__main__":
    typer.run(main)
