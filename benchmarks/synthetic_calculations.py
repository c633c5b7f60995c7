"""How long generated calculations take, and what memory.

    python benchmarks/synthetic_calculations.py [--rows N]

Prints a Markdown table: the rows written as they are drawn, and `medu1 prepare`, which also checks each gold answer,
shuffles and splits. Memory is the peak of the process, its imports included.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

MIB = 2**20


def stream(out: Path, rows: int, seed: int) -> None:
    """Write questions as they are drawn; no more than a row group is held."""
    from verl_medu1.data.budget import Budget
    from verl_medu1.data.calculators.generate import generate
    from verl_medu1.data.prompts import load_prompts
    from verl_medu1.data.schema import QUESTIONS, question_row
    from verl_medu1.data.storage import write_data_set

    prompts, budget = load_prompts(), Budget()

    def question_rows() -> Iterator[dict[str, Any]]:
        for index, worked in enumerate(generate(rows, seed)):
            messages = prompts.messages(worked.example, budget)
            yield question_row(worked.example, messages, budget, "train", index)

    write_data_set(out, {"train.parquet": (QUESTIONS, question_rows())}, {"seed": seed})


def prepare(out: Path, rows: int, seed: int) -> None:
    """Run `medu1 prepare`."""
    source = f"synthetic-calc={rows}"
    command = [sys.executable, "-m", "verl_medu1.cli.app", "prepare", "--source", source, "--out", str(out)]
    subprocess.run([*command, "--seed", str(seed)], check=True, stdout=subprocess.DEVNULL)


def main(
    rows: Annotated[int, typer.Option(help="Number of questions to generate.", min=1)] = 100_000,
    seed: Annotated[int, typer.Option(help="Seed for the questions.")] = 0,
) -> None:
    """Measure the generation of calculations."""
    typer.echo("| | rows | seconds | peak memory, MiB |")
    typer.echo("|---|---|---|---|")
    # The command first: a child is started as a copy of this process, which must still be small.
    for name, run, who in (
        ("`medu1 prepare`", prepare, resource.RUSAGE_CHILDREN),
        ("written as drawn", stream, resource.RUSAGE_SELF),
    ):
        with tempfile.TemporaryDirectory() as folder:
            started = time.monotonic()
            run(Path(folder), rows, seed)
            seconds = time.monotonic() - started
        # ru_maxrss is in KiB on Linux.
        peak = resource.getrusage(who).ru_maxrss * 1024 / MIB
        typer.echo(f"| {name} | {rows} | {seconds:.1f} | {peak:.0f} |")


if __name__ == "__main__":
    typer.run(main)
