"""The files of the generated pictures: questions, demonstrations, names that mislead, and open-ended questions."""

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from reward_score.response import format_response
from verl_medu1.data.example import Example
from verl_medu1.data.generated.images import SOURCE, Shown, blank, demonstrate, draw
from verl_medu1.data.generated.images_both import TEST_PICTURES, demonstrate_both, draw_both
from verl_medu1.data.generated.rows import dialogue_of, row_of
from verl_medu1.data.prompts import Prompts
from verl_medu1.data.schema import DEMONSTRATIONS, QUESTIONS, with_images
from verl_medu1.data.storage import write_data_set

TEST_QUESTIONS = 200
# How often the name of the spot suggests the answer in misleading.parquet, and in reversed.parquet. In the first one
# the small model is right more often by the name than by the picture.
MISLEADING, REVERSED = 0.95, 0.05


def prepare_images(out: Path, prompts: Prompts, num_train: int, num_warmup: int, seed: int) -> dict[str, Any]:
    """Generate pictures, questions and demonstrations, and write them.

    Args:
        out: folder for train.parquet, test.parquet, test_blank.parquet (the same questions with an empty picture),
            test_other.parquet (with the picture of another row), misleading.parquet (a training set where the name of
            the spot mostly suggests the answer), reversed.parquet (a test where it rarely does), warmup.parquet; other
            pictures, asked with options and open-ended, in train_both.parquet, test_both.parquet,
            test_both_blank.parquet, test_both_other.parquet and warmup_both.parquet; and manifest.json.
        prompts: texts of the prompts.
        num_train: number of rows for reinforcement learning in each file; one more in train_both.parquet if it is odd.
        num_warmup: number of demonstrations in each file.
        seed: the same seed gives the same bytes.

    Returns:
        The manifest.

    Raises:
        ValueError: `out` can't be written.
    """
    rng = random.Random(seed)
    # Of its own: the other files are the same with and without these.
    rng_both, rng_blank = random.Random(f"both {seed}"), random.Random(f"blank {seed}")

    def questions(number: int, agreement: float | None = None) -> list[Shown]:
        return [draw(rng, agreement) for _ in range(number)]

    train, test = questions(num_train), questions(TEST_QUESTIONS)
    train_both, test_both = draw_both(rng_both, (num_train + 1) // 2), draw_both(rng_both, TEST_PICTURES)
    files: dict[str, list[Shown]] = {
        "train": train,
        "test": test,
        "test_blank": _emptied(test, rng),
        "test_other": _with_pictures(test, [*test[1:], *test[:1]]),
        "misleading": questions(num_train, MISLEADING),
        "reversed": questions(TEST_QUESTIONS, REVERSED),
        "train_both": train_both,
        "test_both": test_both,
        "test_both_blank": _emptied(test_both, rng_blank),
        # Two questions for each picture.
        "test_both_other": _with_pictures(test_both, [*test_both[2:], *test_both[:2]]),
    }
    tables: dict[str, Any] = {
        f"{name}.parquet": (with_images(QUESTIONS), _rows(rows, prompts, name)) for name, rows in files.items()
    }
    demonstrations = {
        "warmup": ((shown, demonstrate(shown, rng)) for shown in (draw(rng) for _ in range(num_warmup))),
        "warmup_both": (demonstrate_both(rng_both, bool(number % 2)) for number in range(num_warmup)),
    }
    for name, drawn in demonstrations.items():
        tables[f"{name}.parquet"] = (with_images(DEMONSTRATIONS), _dialogues(drawn, prompts, name))
    counts = {name: dict(Counter(shown.example.data_source for shown in rows)) for name, rows in files.items()}
    manifest = {"source": SOURCE, "licence": "Apache-2.0", "seed": seed, "rows": counts}
    write_data_set(out, tables, manifest)
    return manifest


def _emptied(questions: Iterable[Shown], rng: random.Random) -> list[Shown]:
    return [replace(shown, example=blank(shown.example, rng)) for shown in questions]


def _with_pictures(questions: Iterable[Shown], others: Iterable[Shown]) -> list[Shown]:
    """The questions, each with the picture of another one."""
    return [
        replace(shown, example=replace(shown.example, images=other.example.images))
        for shown, other in zip(questions, others, strict=True)
    ]


def _rows(questions: Iterable[Shown], prompts: Prompts, split: str) -> Iterator[dict[str, Any]]:
    return (row_of(shown.example, prompts, split, index, shown.budget) for index, shown in enumerate(questions))


def _dialogues(
    drawn: Iterable[tuple[Shown, tuple[str, str]]], prompts: Prompts, split: str
) -> Iterator[dict[str, Any]]:
    for number, (shown, response) in enumerate(drawn):
        # Its id chooses among the variants of a prompt.
        example: Example = replace(shown.example, row_id=f"{SOURCE}/{split}/{number}")
        yield dialogue_of(example, [("assistant", format_response(*response))], prompts, shown.budget)
