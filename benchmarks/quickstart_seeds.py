"""Runs the quickstart with several seeds and prints the table of docs/quickstart.md: what each one learned."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from measure import measure
from rich.progress import track

HEAD = "| seed | reward before | after | gain | tokens from the budget before | after | minutes | peak memory, GiB |"


def _overall(folder: Path) -> dict[str, float]:
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))["overall"]


def main(
    out: Annotated[Path, typer.Option(help="Folder for the runs.")] = Path("outputs/quickstart-seeds"),
    seeds: Annotated[
        list[int] | None, typer.Option("--seed", help="Seed; may be repeated. Default: 0, 1 and 2.")
    ] = None,
) -> None:
    """Run `medu1 quickstart` once per seed, one after another."""
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in track(seeds or [0, 1, 2], "quickstart"):
        run = out / f"seed-{seed}"
        log = out / f"seed-{seed}.log"
        command = [sys.executable, "-m", "verl_medu1.cli.app", "quickstart", "--seed", str(seed), "--out", str(run)]
        measured = measure(command, str(log))
        if measured.returncode:
            typer.echo(f"seed {seed} failed with exit code {measured.returncode}; see {log}.", err=True)
            raise typer.Exit(1)
        before, after = _overall(run / "eval" / "before"), _overall(run / "eval" / "after")
        rows.append(
            f"| {seed} | {before['reward']:.2f} | {after['reward']:.2f} | {after['reward'] - before['reward']:+.2f} "
            f"| {before['budget_distance']:.1f} | {after['budget_distance']:.1f} "
            f"| {measured.seconds / 60:.1f} | {measured.peak_gib:.1f} |"
        )
        typer.echo("\n".join(["", HEAD, "|---" * 8 + "|", *rows]))


if __name__ == "__main__":
    typer.run(main)
