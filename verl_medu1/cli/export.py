"""`medu1 export`: a checkpoint as a folder in Hugging Face's format."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="Run folder, whose newest checkpoint is exported, or a checkpoint folder.", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write to; it must not exist.", show_default=False)],
    evaluation: Annotated[
        Path | None,
        typer.Option(help="Folder of `medu1 eval` for the model card; by default what the run has of this checkpoint."),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(help="Model that LoRA was trained on; by default that of the run's configuration."),
    ] = None,
) -> None:
    """Export a checkpoint of Megatron or FSDP to Hugging Face's format, compared with what the training computed."""
    import os

    # Nothing is looked up on the Hub: the checkpoint has everything that is needed.
    os.environ["HF_HUB_OFFLINE"] = "1"

    from verl_medu1.export.export import export as run

    found, comparison = run(checkpoint, out, evaluation, base)
    typer.echo(f"{out}: from {found.folder} ({found.weights})")
    if comparison is None:
        typer.echo("Not compared: the checkpoint has no log-probabilities of the training engine.", err=True)
    else:
        typer.echo(f"Log-probabilities against the training engine's: they differ by {comparison}.")
