"""The tables and curves of a study, from its evaluations and runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from figures import pyplot, save
from trainings import answers

from verl_medu1.evaluate.budget_curve import by_budget
from verl_medu1.evaluate.summary import accuracy_differences, figures, group_by, with_verdict
from verl_medu1.evaluate.tables import accuracy_text, difference_text, number, p_text, percent
from verl_medu1.run_folder.evaluations import Sample, read_evaluation

Cells = Mapping[tuple[str, int], Path]
# The answers of a cell and seed, by family; the cold start is the first cell.
Samples = Mapping[tuple[str, int], Mapping[str, Sequence[Sample]]]
# The folders of these answers.
Evaluations = Mapping[tuple[str, int], Mapping[str, Path]]
LAST = 5  # steps


def tables(evaluations: Evaluations, runs: Cells) -> list[str]:
    """Return the Markdown tables: accuracy by family, also between cells, and by budget; what the training paid for.

    Args:
        evaluations: folders of the evaluations of a cell and seed, by family; the cold start is the first cell.
        runs: the training of the cells.
    """
    samples = {
        key: {family: read_evaluation(folder)[1] for family, folder in of_family.items()}
        for key, of_family in evaluations.items()
    }
    return [accuracies(samples), between_cells(samples), budgets(samples), payments(runs)]


def accuracies(samples: Samples) -> str:
    """Accuracy and its change since the seed's cold start, in points, for each source of each family."""
    rows = [["seed", "questions", "cell", "n", "accuracy %, 95 %", "tokens", "change, 95 %", "p"]]
    for (cell, seed), of_family in sorted(samples.items(), key=lambda item: item[0][1]):
        before = samples[next(iter(samples))[0], seed]
        for family, rows_of in of_family.items():
            changes = accuracy_differences(before[family], rows_of, "data_source")
            for source, group in group_by(rows_of, "data_source").items():
                found, change = figures(group), changes[source]
                is_start = before[family] is rows_of
                row = [str(seed), f"{family}: {source}", cell, str(found["questions"]), accuracy_text(found)]
                row += [number(found["length"]), "" if is_start else difference_text(change)]
                rows.append([*row, "" if is_start else p_text(change.p_value)])
    return markdown(rows)


def between_cells(samples: Samples) -> str:
    """The accuracy of each cell less that of the first trained one, in points, for each source of each family."""
    rows = [["seed", "questions", "cells", "difference, 95 %", "p"]]
    trained = list(dict.fromkeys(cell for cell, _ in samples))[1:]
    for (cell, seed), of_family in sorted(samples.items(), key=lambda item: item[0][1]):
        if cell in trained[1:] and (trained[0], seed) in samples:
            for family, rows_of in of_family.items():
                changes = accuracy_differences(samples[trained[0], seed][family], rows_of, "data_source")
                for source in group_by(rows_of, "data_source"):
                    row = [str(seed), f"{family}: {source}", f"{cell} less {trained[0]}"]
                    rows.append([*row, difference_text(changes[source]), p_text(changes[source].p_value)])
    return markdown(rows)


def budgets(samples: Samples) -> str:
    """Accuracy and tokens by budget, over all families."""
    rows = [["seed", "cell", "budget", "samples", "accuracy %", "tokens", "over the budget %"]]
    for (cell, seed), of_family in sorted(samples.items(), key=lambda item: item[0][1]):
        every = with_verdict([sample for group in of_family.values() for sample in group])
        for label, group in by_budget(every):
            found = figures(group)
            row = [str(seed), cell, f"{label['mode']} {label['tokens']:g}", str(found["samples"])]
            rows.append([*row, *(percent(found["accuracy"]), number(found["length"]), percent(found["over_budget"]))])
    return markdown(rows)


def payments(runs: Cells) -> str:
    """What the last steps of the training paid: a wrong answer is paid if its reward is above its group's mean."""
    rows = [["seed", "cell", "steps", "right %", "reward", "tokens", "wrong answers", "paid %"]]
    for (cell, seed), run in sorted(runs.items(), key=lambda item: item[0][1]):
        steps = answers(run)
        groups = [group for step in list(steps)[-LAST:] for group in group_by(steps[step], "row_id").values()]
        sampled = [row for group in groups for row in group]
        paid = [row["score"] > np.mean([one["score"] for one in group]) for group in groups for row in group]
        wrong = [is_paid for row, is_paid in zip(sampled, paid, strict=True) if not row["acc"]]
        right, reward, tokens = (float(np.mean([row[name] for row in sampled])) for name in ("acc", "score", "length"))
        share = percent(float(np.mean(wrong))) if wrong else "-"
        row = [str(seed), cell, str(len(steps)), percent(right), number(reward, 2), number(tokens)]
        rows.append([*row, str(len(wrong)), share])
    return markdown(rows)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose first row is its head."""
    head, *lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|---" * len(rows[0]) + "|", *lines])


def draw(evaluations: Evaluations, runs: Cells, file: Path) -> None:
    """Share right and tokens in each step of the training, and of held-out answers by budget.

    A colour for each cell, the cold start among them, and a line for each seed.
    """
    figure, panels = pyplot.subplots(1, 3, figsize=(15, 4), layout="constrained")
    colours = {cell: f"C{place}" for place, cell in enumerate(dict.fromkeys(cell for cell, _ in evaluations))}
    for panel, (key, title) in zip(panels, (("acc", "share right"), ("length", "tokens")), strict=False):
        for (cell, _), run in runs.items():
            means = [float(np.mean([row[key] for row in rows])) for rows in answers(run).values()]
            # A mean over five steps: each step has other questions.
            smooth = [float(np.mean(means[max(0, step - LAST + 1) : step + 1])) for step in range(len(means))]
            panel.plot(range(1, len(smooth) + 1), smooth, color=colours[cell])
        panel.set(title=f"training: {title}", xlabel="step")
    for (cell, seed), of_family in evaluations.items():
        every = with_verdict([sample for folder in of_family.values() for sample in read_evaluation(folder)[1]])
        points = [figures(group) for _, group in by_budget(every)]
        first = next(number for name, number in evaluations if name == cell)
        panels[2].plot(
            [point["length"] for point in points],
            [point["accuracy"] for point in points],
            marker="o",
            color=colours[cell],
            label=cell if seed == first else None,
        )
    panels[2].set(title="held-out questions: a point for each budget", xlabel="tokens", ylabel="share right")
    panels[2].legend(fontsize=8)
    save(figure, file)
