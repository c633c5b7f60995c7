"""The files of the questions that take two searches: questions, dialogues for the warm-up, and the corpus."""

import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from verl_medu1.data.generated.lookup import (
    SOURCE,
    ask,
    demonstrate,
    demonstrate_reading,
    documents,
    draw_drugs,
    in_stages,
)
from verl_medu1.data.generated.rows import dialogue_of, row_of
from verl_medu1.data.prompts import Prompts
from verl_medu1.data.schema import DEMONSTRATIONS, QUESTIONS
from verl_medu1.data.storage import write_data_set

# One of so many demonstrations in stages_warmup.parquet has its documents in the prompt.
READING_IN = 3
CORPUS = pa.schema([("id", pa.string()), ("title", pa.string()), ("text", pa.string())])


def prepare_lookup(out: Path, prompts: Prompts, num_train: int, num_warmup: int, seed: int) -> dict[str, Any]:
    """Generate questions, dialogues and documents, and write them.

    The corpus has the documents of training and held-out drugs. Demonstrations are about other drugs, whose documents
    are in no corpus: a model that remembers them has learned nothing that answers a question.

    Args:
        out: folder for train.parquet, test.parquet, warmup.parquet, corpus.parquet and manifest.json; and for a
            training in stages (docs/methods/med-r3.md) stages.parquet, each question in three forms, and
            stages_warmup.parquet.
        prompts: texts of the prompts.
        num_train: number of questions for reinforcement learning.
        num_warmup: number of dialogues.
        seed: the same seed gives the same bytes.

    Returns:
        The manifest.

    Raises:
        ValueError: `out` can't be written.
    """
    train, test, demonstrated = draw_drugs(seed)
    rng = random.Random(seed)

    def dialogue(is_reading: bool = False) -> dict[str, Any]:
        drug = rng.choice(demonstrated)
        turns = demonstrate_reading(drug, rng) if is_reading else demonstrate(drug, demonstrated, rng)
        asked = in_stages(drug, rng)[0] if is_reading else ask(drug, rng)
        return dialogue_of(asked, turns, prompts)

    questions = [ask(rng.choice(train), rng) for _ in range(num_train)]
    held_out = [ask(drug, rng) for drug in test]
    tables = {
        "train.parquet": (QUESTIONS, [row_of(asked, prompts, "train", index) for index, asked in enumerate(questions)]),
        "test.parquet": (QUESTIONS, [row_of(asked, prompts, "test", index) for index, asked in enumerate(held_out)]),
        "warmup.parquet": (DEMONSTRATIONS, [dialogue() for _ in range(num_warmup)]),
        "corpus.parquet": (CORPUS, [asdict(entry) for entry in documents([*train, *test])]),
    }
    # After the others, which so don't depend on them.
    forms = [form for _ in range(num_train) for form in in_stages(rng.choice(train), rng)]
    tables["stages.parquet"] = (QUESTIONS, [row_of(form, prompts, "stages", index) for index, form in enumerate(forms)])
    read = [dialogue(index % READING_IN == 0) for index in range(num_warmup)]
    tables["stages_warmup.parquet"] = (DEMONSTRATIONS, read)
    counts = {"train": {SOURCE: num_train}, "test": {SOURCE: len(test)}, "stages": {SOURCE: len(forms)}}
    manifest = {"source": SOURCE, "licence": "Apache-2.0", "seed": seed, "rows": counts}
    write_data_set(out, tables, manifest)
    return manifest
