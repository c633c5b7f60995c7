"""The files of the generated pictures: questions, demonstrations for the warm-up, and wordings that mislead."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from reward_score.response import format_response
from verl_medu1.data.example import Example
from verl_medu1.data.generated.images import SOURCE, Shown, blank, demonstrate, draw
from verl_medu1.data.generated.rows import dialogue_of, row_of
from verl_medu1.data.prompts import Prompts
from verl_medu1.data.schema import DEMONSTRATIONS, QUESTIONS, with_images
from verl_medu1.data.storage import write_data_set

TEST_QUESTIONS = 200
# How often the wording is that of the answer in misleading.parquet, and in reversed.parquet.
MISLEADING, REVERSED = 0.8, 0.2


def prepare_images(out: Path, prompts: Prompts, num_train: int, num_warmup: int, seed: int) -> dict[str, Any]:
    """Generate pictures, questions and demonstrations, and write them.

    Args:
        out: folder for train.parquet, test.parquet, test_blank.parquet (the same questions with an empty picture),
            test_other.parquet (with the picture of another row), misleading.parquet (a training set where the wording
            agrees with the answer), reversed.parquet (a test where it does so as rarely), warmup.parquet and
            manifest.json.
        prompts: texts of the prompts.
        num_train: number of rows for reinforcement learning.
        num_warmup: number of demonstrations.
        seed: the same seed gives the same bytes.

    Returns:
        The manifest.

    Raises:
        ValueError: `out` can't be written.
    """
    rng = random.Random(seed)

    def questions(number: int, agreement: float = 0.5) -> list[Shown]:
        return [draw(rng, agreement) for _ in range(number)]

    train, test = questions(num_train), questions(TEST_QUESTIONS)
    # The last row gets the first one's.
    others = [*test[1:], test[0]]
    files: dict[str, list[Shown]] = {
        "train": train,
        "test": test,
        "test_blank": [replace(shown, example=blank(shown.example, rng)) for shown in test],
        "test_other": [_with_picture(*pair) for pair in zip(test, others, strict=True)],
        "misleading": questions(num_train, MISLEADING),
        "reversed": questions(TEST_QUESTIONS, REVERSED),
    }
    tables: dict[str, Any] = {
        f"{name}.parquet": (with_images(QUESTIONS), _rows(rows, prompts, name)) for name, rows in files.items()
    }
    demonstrations = (_demonstration(draw(rng), number, rng, prompts) for number in range(num_warmup))
    tables["warmup.parquet"] = (with_images(DEMONSTRATIONS), demonstrations)
    counts = {name: {SOURCE: len(rows)} for name, rows in files.items()}
    manifest = {"source": SOURCE, "licence": "Apache-2.0", "seed": seed, "rows": counts}
    write_data_set(out, tables, manifest)
    return manifest


def _with_picture(shown: Shown, other: Shown) -> Shown:
    return replace(shown, example=replace(shown.example, images=other.example.images))


def _rows(questions: Iterable[Shown], prompts: Prompts, split: str) -> Iterator[dict[str, Any]]:
    return (row_of(shown.example, prompts, split, index) for index, shown in enumerate(questions))


def _demonstration(shown: Shown, number: int, rng: random.Random, prompts: Prompts) -> dict[str, Any]:
    # Its id chooses among the variants of a prompt.
    example: Example = replace(shown.example, row_id=f"{SOURCE}/warmup/{number}")
    return dialogue_of(example, [("assistant", format_response(*demonstrate(shown, rng)))], prompts)
