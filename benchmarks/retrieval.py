"""Build time, size, memory and time per query of an index of generated documents.

python benchmarks/retrieval.py
"""

import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from verl_medu1.retrieval.build import build_index
from verl_medu1.retrieval.index import LocalIndex

SYLLABLES = "ba co di fe gu ha ki lo mu ne pa ro si ta vu".split()
VOCABULARY = 200_000
SEARCHES = "--searches"


def draw_words(rng: random.Random, number: int) -> list[str]:
    """Words of few syllables; some are frequent and most rare, as in any language."""
    ranks = (min(int(rng.paretovariate(0.7)), VOCABULARY) for _ in range(number))
    return [
        SYLLABLES[rank % 15] + SYLLABLES[rank // 15 % 15] + SYLLABLES[rank // 225 % 15] + str(rank) for rank in ranks
    ]


def memory(folder: Path) -> tuple[float, float]:
    """Memory of this process in MB: what is its alone, and what of the folder's files is in memory, for all."""
    rows = psutil.Process().memory_maps()
    private = sum(row.private_clean + row.private_dirty for row in rows if str(folder) not in row.path)
    return private / 1e6, sum(row.rss for row in rows if str(folder) in row.path) / 1e6


def search(folder: Path, queries: int, seed: int) -> dict[str, Any]:
    """Open an index, search in it, and return seconds of each query and memory in MB."""
    before, _ = memory(folder)
    started = time.perf_counter()
    index = LocalIndex(folder)
    opening = time.perf_counter() - started
    rng = random.Random(f"queries {seed}")
    seconds = []
    for _ in range(queries):
        query = " ".join(draw_words(rng, 8))
        started = time.perf_counter()
        index.search(query, 3)
        seconds.append(time.perf_counter() - started)
    after, mapped = memory(folder)
    return {"opening": opening, "seconds": seconds, "private": [before, after], "mapped": mapped}


def main(
    documents: Annotated[int, typer.Option(min=1, help="Number of documents.")] = 200_000,
    words: Annotated[int, typer.Option(min=1, help="Words of each document.")] = 100,
    queries: Annotated[int, typer.Option(min=2, help="Queries of eight words, three documents each.")] = 500,
    seed: Annotated[int, typer.Option()] = 0,
    searches: Annotated[
        Path | None, typer.Option(hidden=True, help="Only search in this index, and print JSON.")
    ] = None,
) -> None:
    """Generate a corpus, build its index, search in it in two processes at a time, and print Markdown."""
    if searches:
        typer.echo(json.dumps(search(searches, queries, seed)))
        return
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        corpus, out = Path(name) / "corpus.jsonl", Path(name) / "index"
        with corpus.open("w") as file:
            for place in range(documents):
                file.write(json.dumps({"id": f"d{place}", "text": " ".join(draw_words(rng, words))}) + "\n")
        peak_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started, cpu_before = time.perf_counter(), time.process_time()
        built = build_index([corpus], out)
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_before
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        corpus_size = corpus.stat().st_size
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
        command = [sys.executable, __file__, SEARCHES, str(out), "--queries", str(queries), "--seed", str(seed)]
        both = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
        found = [json.loads(process.communicate()[0]) for process in both]
    typer.echo(f"{documents:,} documents of {words} words, {built.words:,} different words, seed {seed}\n")
    typer.echo("| | |\n|---|---|")
    typer.echo(f"| building, seconds (of a processor) | {seconds:.1f} ({cpu_seconds:.1f}) |")
    typer.echo(f"| building, peak memory, MB (before it) | {peak / 1e3:.0f} ({peak_before / 1e3:.0f}) |")
    typer.echo(f"| folder, MB (the corpus as JSON) | {size / 1e6:.0f} ({corpus_size / 1e6:.0f}) |")
    for place, one in enumerate(found):
        ms = [1e3 * value for value in one["seconds"]]
        before, after = one["private"]
        typer.echo(f"| process {place + 1}: opening, seconds | {one['opening']:.2f} |")
        typer.echo(
            f"| process {place + 1}: private memory, MB (before it opens the index) | {after:.0f} ({before:.0f}) |"
        )
        typer.echo(f"| process {place + 1}: memory of the index's files, shared, MB | {one['mapped']:.0f} |")
        typer.echo(
            f"| process {place + 1}: a query, ms, median of {len(ms)} (range) | {statistics.median(ms):.1f} "
            f"({min(ms):.1f} to {max(ms):.1f}) |"
        )


if __name__ == "__main__":
    typer.run(main)
