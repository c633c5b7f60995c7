"""`medu1 prepare`: questions of one or several sources as parquet."""

from pathlib import Path
from typing import Annotated

import typer


def prepare(
    source: Annotated[list[str], typer.Option(help="quickstart, or NAME=FILE; may be repeated.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder to write.", show_default=False)],
) -> None:
    """Prepare questions."""
    raise NotImplementedError
