"""Held-out questions with their own picture, an empty one, and another question's: does a model look?"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import typer
from trainings import answers

from verl_medu1.run_folder.names import VALIDATION

# What is shown -> what the name of the file of questions ends with, and with it the second part of its row ids.
SHOWN = {"the picture": "", "an empty one": "_blank", "another question's": "_other"}


def with_each_picture(test: Path) -> dict[str, Any]:
    """The key of `medu1 train` that asks the questions of a file in all three ways."""
    files = [test.with_stem(f"{test.stem}{ending}") for ending in SHOWN.values()]
    return {"data.val_files": f"[{','.join(map(str, files))}]"}


def of_file(rows: Iterable[dict[str, Any]], file: str) -> list[dict[str, Any]]:
    """The answers to the questions of a file, by the name of the file without its suffix."""
    return [row for row in rows if row["row_id"].split("/")[1] == file]


def show_pictures(heads: list[str], runs: Mapping[tuple[str, ...], list[Path]], test: str) -> None:
    """Print the accuracy after each training by what was shown, as a mean over runs of several seeds.

    Args:
        heads: of the columns that name a training.
        runs: what these columns have -> folders of the runs.
        test: name of the file with the questions and their own pictures.
    """
    heads = [*heads, *SHOWN]
    typer.echo(f"\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for named, folders in runs.items():
        last = [list(answers(folder, VALIDATION).values())[-1] for folder in folders]
        means = [
            np.mean([np.mean([row["acc"] for row in of_file(rows, f"{test}{ending}")]) for rows in last])
            for ending in SHOWN.values()
        ]
        typer.echo(f"| {' | '.join([*named, *(f'{mean:.2f}' for mean in means)])} |")
