"""The files of the questions that a frozen reader answers: questions, dialogues for the warm-up, and the corpus."""

import random
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from verl_medu1.data.budget import Budget
from verl_medu1.data.generated.lookup_files import CORPUS
from verl_medu1.data.generated.searcher import SOURCE, Drug, ask, demonstrate, documents, draw_drugs
from verl_medu1.data.prompts import Prompts
from verl_medu1.data.schema import DEMONSTRATIONS, QUESTIONS, question_row
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

    def row(drug: Drug, split: str, index: int) -> dict[str, Any]:
        example = replace(ask(drug, rng), row_id=f"{SOURCE}/{split}/{index}")
        return question_row(example, prompts.messages(example, Budget()), Budget(), split, index)

    def dialogue() -> dict[str, Any]:
        drug = rng.choice(demonstrated)
        turns = [{"role": role, "content": text} for role, text in demonstrate(drug, demonstrated, rng)]
        return {"messages": [*prompts.messages(ask(drug, rng), Budget()), *turns]}

    tables = {
        "train.parquet": (QUESTIONS, [row(rng.choice(train), "train", index) for index in range(num_train)]),
        "test.parquet": (QUESTIONS, [row(drug, "test", index) for index, drug in enumerate(test)]),
        "warmup.parquet": (DEMONSTRATIONS, [dialogue() for _ in range(num_warmup)]),
        "corpus.parquet": (CORPUS, [asdict(entry) for entry in documents([*train, *test])]),
    }
    counts = {"train": {SOURCE: num_train}, "test": {SOURCE: len(test)}}
    manifest = {"source": SOURCE, "licence": "Apache-2.0", "seed": seed, "rows": counts}
    write_data_set(out, tables, manifest)
    return manifest
