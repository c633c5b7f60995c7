"""Time, recall and false positives of the check for near duplicates, on synthetic questions of known similarity.

python benchmarks/near_duplicates.py
"""

import random
import resource
import time
from typing import Annotated

import typer

from verl_medu1.data.duplicates import THRESHOLD, DuplicateFinder, similarity
from verl_medu1.data.example import Example

SYLLABLES = "ba co di fe gu ha ki lo mu ne pa ro si ta vu".split()
VOCABULARY = 20_000


def draw_words(rng: random.Random, number: int) -> list[str]:
    """Words of few syllables; some are frequent and most rare, as in any language."""
    ranks = (min(int(rng.paretovariate(0.7)), VOCABULARY) for _ in range(number))
    return [
        SYLLABLES[rank % 15] + SYLLABLES[rank // 15 % 15] + SYLLABLES[rank // 225 % 15] + str(rank) for rank in ranks
    ]


def reword(words: list[str], rng: random.Random, share: float) -> list[str]:
    """The words with a share of them, and at least one, replaced by others."""
    changed = list(words)
    for place in rng.sample(range(len(words)), max(1, round(share * len(words)))):
        changed[place] = f"other{rng.randrange(10**6)}"
    return changed


def question(place: int, words: list[str]) -> Example:
    """The words as an open-ended question."""
    return Example("medical-o1-verifiable-problem", str(place), "open_ended", " ".join(words), "x")


def main(
    rows: Annotated[int, typer.Option(min=2, help="Number of questions that are checked.")] = 100_000,
    against: Annotated[int, typer.Option(min=1, help="Number of benchmark questions.")] = 10_000,
    planted: Annotated[
        float, typer.Option(min=0, max=0.5, help="Share of rows that reword a benchmark question.")
    ] = 0.1,
    threshold: Annotated[
        float, typer.Option(help="Jaccard similarity from which rows are near duplicates.")
    ] = THRESHOLD,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Plant rewordings of 1 to 12 percent of the words, look for them, and print what was found, as Markdown.

    Half of the planted rows reword another row, half a question of the benchmark. Recall is of those whose exact
    similarity reaches the threshold; a false positive is a pair found below it, or of unrelated questions.
    """
    rng = random.Random(seed)
    benchmark = [draw_words(rng, rng.randint(40, 160)) for _ in range(against)]
    texts = [draw_words(rng, rng.randint(40, 160)) for _ in range(rows - round(planted * rows))]
    origins: dict[int, tuple[str, int]] = {}
    num_originals = len(texts)
    for place in range(num_originals, rows):
        kind, pool = ("row", num_originals) if place % 2 else ("benchmark", against)
        origins[place] = (kind, rng.randrange(pool))
        source = (texts if kind == "row" else benchmark)[origins[place][1]]
        texts.append(reword(source, rng, rng.uniform(0.01, 0.12)))

    started, cpu_before = time.perf_counter(), time.process_time()
    finder = DuplicateFinder(threshold, seed)
    sketched = finder.sketch([question(place, words) for place, words in enumerate(texts)])
    others = finder.sketch([question(place, words) for place, words in enumerate(benchmark)])
    duplicates = {place: found.of for place, found in finder.within(sketched).items()}
    contaminated = finder.across(sketched, others)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_before

    typer.echo(f"{rows} rows within themselves and against {against}, threshold {threshold}, seed {seed}\n")
    typer.echo("| | planted | at or over the threshold | found of them | recall | false positives |")
    typer.echo("|---|---|---|---|---|---|")
    for kind, pool, found in (("row", sketched, duplicates), ("benchmark", others, contaminated)):
        of_kind = {place: origin for place, (its_kind, origin) in origins.items() if its_kind == kind}
        near = {p for p, origin in of_kind.items() if similarity(sketched[p], pool[origin]) >= threshold}
        false = sum(similarity(sketched[p], pool[q]) < threshold or p not in origins for p, q in found.items())
        recall = len(near & set(found)) / len(near) if near else 1.0
        typer.echo(
            f"| rewords a {kind} | {len(of_kind)} | {len(near)} | {len(near & set(found))} | {recall:.4f} | {false} |"
        )
    typer.echo("\n| rows | seconds | of a processor | peak memory, GB |\n|---|---|---|---|")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    typer.echo(f"| {rows} | {seconds:.1f} | {cpu_seconds:.1f} | {peak:.2f} |")


if __name__ == "__main__":
    typer.run(main)
