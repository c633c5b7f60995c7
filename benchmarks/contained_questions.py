"""How well questions are found in documents: real questions, put between real abstracts with words replaced.

python benchmarks/contained_questions.py --abstracts ori_pqal.json medmcqa=validation.parquet mediq=all_dev_good.jsonl
"""

import json
import random
import statistics
from pathlib import Path
from typing import Annotated

import typer

from verl_medu1.data.benchmark import read_benchmark
from verl_medu1.retrieval.contained import SHORTEST_QUESTION, QuestionFinder
from verl_medu1.retrieval.documents import Document
from verl_medu1.retrieval.words import all_words

SHARES = (0.0, 0.02, 0.05, 0.1, 0.2)


def main(
    questions: Annotated[list[str], typer.Argument(metavar="NAME=FILE...", help="Questions, as for --benchmark.")],
    abstracts: Annotated[Path, typer.Option(help="PubMedQA's ori_pqal.json.")],
    number: Annotated[int, typer.Option(min=1, help="Questions of each that are put into abstracts.")] = 500,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Print how many questions are found with a share of their words replaced, and how many in other abstracts."""
    texts = [
        " ".join([*record["CONTEXTS"], record["LONG_ANSWER"]]) for record in json.loads(abstracts.read_text()).values()
    ]
    typer.echo(f"| | words, median | too short | found in {len(texts)} abstracts as they are | replaced: found |")
    typer.echo("|---|---|---|---|---|")
    rng = random.Random(seed)
    for given in questions:
        examples = read_benchmark(given).examples
        lengths = [len(all_words(example.question)) for example in examples]
        finder = QuestionFinder(examples)
        for text in texts:
            finder.look(Document("", "", text))
        as_they_are = len({one.row_id for one in finder.found})
        long = [place for place, length in enumerate(lengths) if length >= SHORTEST_QUESTION]
        chosen = [examples[place] for place in rng.sample(long, min(number, len(long)))]
        found = []
        for share in SHARES:
            planted = QuestionFinder(chosen)
            for example in chosen:
                words = all_words(example.question)
                for place in rng.sample(range(len(words)), max(1, round(share * len(words))) if share else 0):
                    words[place] = "replaced"
                before, after = rng.choices(texts, k=2)
                planted.look(Document(example.row_id, "", f"{before} {' '.join(words)} {after}"))
            hits = len({one.row_id for one in planted.found if one.row_id == one.document})
            found.append(f"{share:.0%}: {hits / len(chosen):.1%}")
        typer.echo(
            f"| {given.partition('=')[0]}, {len(examples)} | {statistics.median(lengths):.0f} | {finder.too_short} | "
            f"{as_they_are} | {', '.join(found)} |"
        )


if __name__ == "__main__":
    typer.run(main)
