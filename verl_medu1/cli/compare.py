"""`medu1 compare`: two evaluations on the same questions."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table


class Grouping(StrEnum):
    """What the lines of the table stand for."""

    answer_type = "answer_type"
    data_source = "data_source"


def compare(
    before: Annotated[
        Path, typer.Argument(help="Folder of the first evaluation (the --out of `medu1 eval`).", show_default=False)
    ],
    after: Annotated[Path, typer.Argument(help="Folder of the second evaluation.", show_default=False)],
    by: Annotated[
        Grouping, typer.Option(help="Show one line for each of these, and one for all questions.")
    ] = Grouping.answer_type,
) -> None:
    """Compare two evaluations on their common questions: the change with its 95 % interval and p-value."""
    from rich.console import Console

    Console().print(comparison(before, after, by.value))


def comparison(before: Path, after: Path, key: str) -> "Table":
    """The table of a comparison.

    Raises:
        ValueError: a folder has no evaluation, they have no question in common, or different judges.
    """
    from verl_medu1.evaluate.summary import accuracy_differences, judged_differently
    from verl_medu1.evaluate.tables import comparison_table
    from verl_medu1.run_folder.evaluations import read_evaluation

    old_summary, old_samples = read_evaluation(before)
    new_summary, new_samples = read_evaluation(after)
    if sentence := judged_differently(old_summary, new_summary):
        raise ValueError(f"{before} and {after} can't be compared: {sentence}")
    differences = accuracy_differences(old_samples, new_samples, key)
    if not differences:
        raise ValueError(f"{before} and {after} have no question in common; evaluate both on the same --data.")
    return comparison_table(old_summary, new_summary, differences, key)
