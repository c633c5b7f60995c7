"""Ranks of recipes, rehearsed at their true size beside the plan, with what each rehearsal took (docs/plan.md)."""

import json
import resource
import subprocess
import sys
import time
from typing import Annotated, Any

import typer

GIB = 2**30
RANKS = (
    ("qwen2.5-7b-1x8h100-tp2-pp1", 0),
    ("qwen2.5-32b-4x8h100-tp4-pp2", 0),
    ("qwen2.5-32b-4x8h100-tp4-pp2", 16),
    ("llama-3.1-70b-8x8h100-tp8-pp4", 0),
    ("llama-3.1-70b-8x8h100-tp8-pp4", 48),
    ("qwen2.5-7b-lora-1x1l40s-tp1-pp1", 0),
    ("llama-3.1-70b-lora-1x8h100-tp8-pp1", 0),
)
HEADER = (
    "| recipe | rank | stage | weights, gradients, optimizer | activations | logits | plan of the last two is "
    "| wall s | CPU s | peak GiB |"
)


def rehearse(recipe: str, rank: int) -> tuple[dict[str, Any], float, float, float]:
    """What `medu1 rehearse --json` prints; seconds of wall and of CPU, and peak GiB of any rehearsal so far."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = (
        sys.executable,
        "-m",
        "verl_medu1.cli.app",
        "rehearse",
        f"recipe={recipe}",
        "--rank",
        str(rank),
        "--json",
    )
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - start
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(done.stdout), wall, seconds, after.ru_maxrss * 1024 / GIB


def row(recipe: str, rank: int) -> str:
    """A line of the table: rehearsed / planned GiB."""
    found, wall, seconds, most = rehearse(recipe, rank)
    memory = found["memory"]

    def sizes(*parts: str) -> tuple[float, float]:
        return sum(memory[part]["rehearsed"] for part in parts), sum(memory[part]["planned"] for part in parts)

    def cell(*parts: str) -> str:
        return " / ".join(f"{size / GIB:.2f}" for size in sizes(*parts))

    rehearsed, planned = sizes("activations", "logits")
    return (
        f"| {recipe} | {rank} of {found['world']} | {found['stage']} | {cell('weights', 'gradients', 'optimizer')} | "
        f"{cell('activations')} | {cell('logits')} | {planned / rehearsed - 1:+.1%} | {wall:.0f} | {seconds:.0f} | "
        f"{most:.1f} |"
    )


def main(
    recipe: Annotated[list[str] | None, typer.Option(help="Only ranks of these recipes.", show_default=False)] = None,
) -> None:
    """Rehearse one rank after the other and print a Markdown table."""
    typer.echo(f"{HEADER}\n|{'---|' * HEADER.count(' | ')}---|")
    for name, rank in RANKS:
        if not recipe or name in recipe:
            typer.echo(row(name, rank))


if __name__ == "__main__":
    typer.run(main)
