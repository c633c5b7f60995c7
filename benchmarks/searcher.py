"""A trained searcher for a frozen reader: the reader's accuracy with its documents, and with those of naive retrieval.

    python benchmarks/searcher.py [--seed 0 --seed 1 --seed 2] [--plot docs/methods/s3.svg]

For each seed a small model is warmed up on dialogues about drugs that no document has, most of them flawed, and
trained to search, select and stop (`recipe=s3-cpu`); the reward is the reader's gain over naive retrieval. Held-out
drugs are in the documents alone. Prints a Markdown table of the reader's accuracy on them, and draws the gain of each
step. Runs that are there already, with the same settings, are not repeated.
"""

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow.parquet as pq
import typer
from figures import pyplot, save
from trainings import HELD_OUT_SAMPLES, SAMPLED, answers, medu1, of_questions, train, warm_up

from reward_score import compute_score
from verl_medu1.environments.reader import RULES
from verl_medu1.environments.readers import make_reader
from verl_medu1.evaluate.statistics import paired_difference
from verl_medu1.retrieval.documents import Document
from verl_medu1.run_folder.names import VALIDATION

RECIPE, SOURCE = "s3-cpu", "quickstart-searcher"
HELD_OUT = {"trainer.test_freq": "${trainer.total_training_steps}", "trainer.val_before_train": "true", **SAMPLED}
HEADS = (
    "seed",
    "naive retrieval",
    "after the warm-up",
    "trained",
    "right documents",
    "trained - naive",
    "p",
    "lost",
    "reader",
)


def with_the_right_documents(data: Path) -> float:
    """The reader's accuracy on held-out questions with the documents that each can be answered from."""
    reader = make_reader(RULES)
    corpus = {row["id"]: Document(**row) for row in pq.read_table(data / "corpus.parquet").to_pylist()}

    def is_right(row: dict[str, Any]) -> float:
        info, question = row["extra_info"], row["prompt"][-1]["content"]
        needed = [corpus[name] for name in json.loads(info["environment"])["evidence"]]
        reply = asyncio.run(reader.read(question, needed))
        return compute_score(row["data_source"], reply, row["reward_model"]["ground_truth"], info)["acc"]

    return float(np.mean([is_right(row) for row in pq.read_table(data / "test.parquet").to_pylist()]))


def readers(steps: Iterable[list[dict[str, Any]]]) -> set[str]:
    """The identities of the readers that answered."""
    return {json.loads(row["facts"])["reading"]["reader"] for rows in steps for row in rows}


def mean(values: dict[str, float]) -> float:
    """The mean over questions."""
    return float(np.mean(list(values.values())))


def main(
    seed: Annotated[list[int] | None, typer.Option(help="Seed; may be repeated. Default: 0, 1 and 2.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for runs and logs.")] = Path("outputs/searcher"),
    plot: Annotated[Path | None, typer.Option(help="SVG file to write.")] = None,
    settings: Annotated[list[str] | None, typer.Argument(help="Further KEY=VALUE settings for `medu1 train`.")] = None,
) -> None:
    """Train, let the reader answer held-out questions before and after, and print the table."""
    typer.echo(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for number in seed or [0, 1, 2]:
        folder = out / str(number)
        keys, index, run = warm_up(folder, number, source=SOURCE, recipe=RECIPE), folder / "index", folder / "run"
        if not index.is_dir():
            medu1(folder / "index.log", "index", "build", str(folder / "data" / "corpus.parquet"), "--out", str(index))
        train(run, keys | HELD_OUT | {"episodes.settings.index": index}, *(settings or []), recipe=RECIPE)
        steps, (before, *_, after) = answers(run), answers(run, VALIDATION).values()
        # The same one before, during and after the training.
        (identity,) = readers([before, *steps.values(), after])
        assert identity == make_reader(RULES).identity
        naive, trained = of_questions(after, "naive_correct"), of_questions(after, "reader_correct")
        change = paired_difference(list(naive.values()), list(trained.values()))
        lost = np.mean([trained[question] < 1 for question, is_right in naive.items() if is_right])
        shares = (mean(naive), mean(of_questions(before, "reader_correct")), mean(trained))
        cells = [str(number), *(f"{share:.2f}" for share in (*shares, with_the_right_documents(folder / "data")))]
        cells += [f"{change.value:+.2f} ({change.low:+.2f} to {change.high:+.2f})", f"{change.p_value:.2g}"]
        typer.echo(f"| {' | '.join([*cells, f'{lost:.2f}', identity])} |")
        gains = [float(np.mean([row["gain"] for row in rows])) for rows in steps.values()]
        axes.plot(range(1, len(gains) + 1), gains, color="C0", alpha=0.7, label=f"seed {number}")
    typer.echo(
        f"\n{HELD_OUT_SAMPLES} searches for each held-out question. Difference: trained - naive. Lost: of the "
        "questions that naive retrieval gets right, those that a search at least once does not."
    )
    if plot:
        axes.set(xlabel="step", ylabel="gain over naive retrieval")
        save(figure, plot)


if __name__ == "__main__":
    typer.run(main)
