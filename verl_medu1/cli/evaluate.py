"""`medu1 eval`: evaluate a model on prepared questions, or compare two evaluations."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table


def evaluate(
    model: Annotated[
        str | None, typer.Option(help="Folder in Hugging Face's format, or the name of a model on the hub.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Prepared questions (parquet, from `medu1 prepare`).")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for samples.jsonl and summary.json.")] = None,
    samples: Annotated[int, typer.Option(help="Responses per question.")] = 1,
    temperature: Annotated[float, typer.Option(help="Sampling temperature; 0 is greedy.")] = 1.0,
    max_tokens: Annotated[int, typer.Option(help="Longest response in tokens.")] = 128,
    seed: Annotated[int, typer.Option(help="Seed of the sampling and of the bootstrap.")] = 0,
    batch: Annotated[int, typer.Option(help="Responses that are generated at the same time.")] = 256,
    dtype: Annotated[
        str, typer.Option(help="float32, bfloat16, float16; auto is float32 on a CPU, the checkpoint's own on a GPU.")
    ] = "auto",
    tensor_parallel_size: Annotated[int, typer.Option(help="GPUs that share the model.")] = 1,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="BEFORE AFTER", help="Compare two evaluations (folders of --out); nothing is generated."),
    ] = None,
) -> None:
    """Evaluate a model: accuracy with a 95 % interval, format, reward, length and distance from the length budget."""
    from rich.console import Console

    if compare is not None:
        Console().print(_comparison(*compare))
        return
    if model is None or data is None or out is None:
        missing = [f"--{name}" for name, value in {"model": model, "data": data, "out": out}.items() if value is None]
        raise ValueError(f"{', '.join(missing)} is missing; give --model, --data and --out, or --compare.")

    from verl_medu1.evaluate.evaluation import run_evaluation
    from verl_medu1.evaluate.generation import Sampling
    from verl_medu1.evaluate.tables import summary_table

    sampling = Sampling(samples, temperature, max_tokens, seed, batch, dtype, tensor_parallel_size)
    Console().print(summary_table(run_evaluation(model, data, out, sampling)))


def _comparison(before: Path, after: Path) -> "Table":
    from verl_medu1.evaluate.storage import read_evaluation
    from verl_medu1.evaluate.summary import accuracy_differences
    from verl_medu1.evaluate.tables import comparison_table

    old_summary, old_samples = read_evaluation(before)
    new_summary, new_samples = read_evaluation(after)
    differences = accuracy_differences(old_samples, new_samples)
    if not differences:
        raise ValueError(f"{before} and {after} have no question in common; evaluate both on the same --data.")
    return comparison_table(old_summary, new_summary, differences)
