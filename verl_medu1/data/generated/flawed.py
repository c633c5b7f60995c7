"""The files of a generated set that shows one method: questions, and demonstrations whose flaws it has to remove."""

import random
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reward_score.response import format_response
from verl_medu1.data.budget import Budget
from verl_medu1.data.example import Example
from verl_medu1.data.generated import advice, dosing
from verl_medu1.data.prompts import Prompts
from verl_medu1.data.schema import DEMONSTRATIONS, QUESTIONS, question_row
from verl_medu1.data.storage import write_data_set

TEST_QUESTIONS = 90


@dataclass(frozen=True)
class Flawed:
    """How a set is made.

    Attributes:
        draw: Draws a question.
        demonstrate: Draws reasoning and answer of a demonstration of it, right or flawed.
    """

    draw: Callable[[random.Random], Example]
    demonstrate: Callable[[Example, random.Random], tuple[str, str]]


# Data source -> how it is made.
SETS: Mapping[str, Flawed] = {
    dosing.SOURCE: Flawed(dosing.draw, dosing.demonstrate),
    advice.SOURCE: Flawed(advice.draw, advice.demonstrate),
}


def prepare_flawed(
    out: Path, source: str, prompts: Prompts, num_train: int, num_warmup: int, seed: int
) -> dict[str, Any]:
    """Generate the questions and demonstrations of a set and write them.

    A fifth of all question texts is held out; no text of a held-out question is in training or warm-up.

    Args:
        out: Folder for train.parquet, test.parquet, warmup.parquet and manifest.json.
        source: A name in `SETS`.
        prompts: Texts of the prompts.
        num_train: Number of rows for reinforcement learning.
        num_warmup: Number of demonstrations, of the same questions as the training rows.
        seed: The same seed gives the same bytes.

    Returns:
        The manifest.

    Raises:
        ValueError: `out` can't be written.
    """
    rng, kind = random.Random(seed), SETS[source]

    def draw(held_out: bool) -> Example:
        while True:
            example = kind.draw(rng)
            if (zlib.crc32(f"{seed} {example.question}".encode()) % 5 == 0) == held_out:
                return example

    def row(example: Example, split: str, index: int) -> dict[str, Any]:
        example = replace(example, row_id=f"{source}/{split}/{index}")
        return question_row(example, prompts.messages(example, Budget()), Budget(), split, index)

    def demonstration() -> dict[str, Any]:
        example = draw(False)
        response = format_response(*kind.demonstrate(example, rng))
        messages = prompts.messages(example, Budget())
        return {"messages": [*messages, {"role": "assistant", "content": response}]}

    held_out = {example.question: example for example in (draw(True) for _ in range(10 * TEST_QUESTIONS))}
    test = list(held_out.values())[:TEST_QUESTIONS]
    tables = {
        "train.parquet": (QUESTIONS, [row(draw(False), "train", index) for index in range(num_train)]),
        "test.parquet": (QUESTIONS, [row(example, "test", index) for index, example in enumerate(test)]),
        "warmup.parquet": (DEMONSTRATIONS, [demonstration() for _ in range(num_warmup)]),
    }
    counts = {"train": {source: num_train}, "test": {source: len(test)}}
    manifest = {"source": source, "licence": "Apache-2.0", "seed": seed, "rows": counts}
    write_data_set(out, tables, manifest)
    return manifest
