"""`medu1 merge`: the weighted mean of two models."""

from pathlib import Path
from typing import Annotated

import typer

MODEL = "Folder in Hugging Face's format, or a run folder, whose newest model is taken."


def merge(
    first: Annotated[Path, typer.Argument(metavar="A", help=MODEL, show_default=False)],
    second: Annotated[Path, typer.Argument(metavar="B", help=MODEL, show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder to write to; it must not exist.", show_default=False)],
    weight: Annotated[float, typer.Option(help="Share of A, from 0 to 1; B has the rest.")] = 0.5,
) -> None:
    """Average the weights of two models with the same configuration and tokenizer, tensor by tensor."""
    import os

    # Everything is in the two folders.
    os.environ["HF_HUB_OFFLINE"] = "1"

    from verl_medu1.models.merge import merge as run
    from verl_medu1.run_folder.checkpoints import newest_model
    from verl_medu1.run_folder.names import CHECKPOINTS

    models = [newest_model(folder) if (folder / CHECKPOINTS).is_dir() else folder for folder in (first, second)]
    number = run(models[0], models[1], out, weight)
    typer.echo(f"{out}: {number} tensors, {weight:g} x {models[0]} + {1 - weight:g} x {models[1]}")
