"""The files of the questions that a frozen reader answers: questions, dialogues for the warm-up, and the corpus."""

import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

from verl_medu1.data.generated.lookup_files import CORPUS
from verl_medu1.data.generated.rows import dialogue_of, row_of
from verl_medu1.data.generated.searcher import SOURCE, ask, demonstrate, documents, draw_drugs
from verl_medu1.data.prompts import Prompts
from verl_medu1.data.schema import DEMONSTRATIONS, QUESTIONS
from verl_medu1.data.storage import write_data_set


def prepare_searcher(out: Path, prompts: Prompts, num_train: int, num_warmup: int, seed: int) -> dict[str, Any]:
    """Generate questions, dialogues and documents, and write them.

    The corpus has the documents of training and held-out drugs; demonstrations are about other drugs.

    Args:
        out: folder for train.parquet, test.parquet, warmup.parquet, corpus.parquet and manifest.json.
        prompts: texts of the prompts.
        num_train: number of rows for reinforcement learning.
        num_warmup: number of dialogues.
        seed: the same seed gives the same bytes.

    Returns:
        The manifest.

    Raises:
        ValueError: `out` can't be written.
    """
    train, test, demonstrated = draw_drugs(seed)
    rng = random.Random(seed)

    def dialogue() -> dict[str, Any]:
        drug = rng.choice(demonstrated)
        turns = demonstrate(drug, demonstrated, rng)
        return dialogue_of(ask(drug, rng), turns, prompts)

    questions = [ask(rng.choice(train), rng) for _ in range(num_train)]
    held_out = [ask(drug, rng) for drug in test]
    tables = {
        "train.parquet": (QUESTIONS, [row_of(asked, prompts, "train", index) for index, asked in enumerate(questions)]),
        "test.parquet": (QUESTIONS, [row_of(asked, prompts, "test", index) for index, asked in enumerate(held_out)]),
        "warmup.parquet": (DEMONSTRATIONS, [dialogue() for _ in range(num_warmup)]),
        "corpus.parquet": (CORPUS, [asdict(entry) for entry in documents([*train, *test])]),
    }
    counts = {"train": {SOURCE: num_train}, "test": {SOURCE: len(test)}}
    manifest = {"source": SOURCE, "licence": "Apache-2.0", "seed": seed, "rows": counts}
    write_data_set(out, tables, manifest)
    return manifest
