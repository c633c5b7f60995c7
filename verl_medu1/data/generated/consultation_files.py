"""The files of the generated consultations: patients for training and evaluation, and dialogues for the warm-up."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from verl_medu1.data.generated.consultation import SOURCE, Case, World, demonstrate, draw_case, make_world
from verl_medu1.data.generated.rows import dialogue_of, row_of
from verl_medu1.data.prompts import Prompts
from verl_medu1.data.schema import DEMONSTRATIONS, QUESTIONS
from verl_medu1.data.storage import write_data_set

# A hundred for each number of questions, on average.
TEST_CASES = 500
# Share of the patients of the training and the warm-up who know nothing beyond their complaint: else a model has never
# read "unknown".
IGNORANT = 0.1


def prepare_consultation(out: Path, prompts: Prompts, num_train: int, num_warmup: int, seed: int) -> dict[str, Any]:
    """Generate patients and dialogues, and write them.

    Args:
        out: folder for train.parquet, test.parquet, test_prior.parquet (the first diseases are more common than in
            training), warmup.parquet and manifest.json.
        prompts: texts of the prompts.
        num_train: number of rows for reinforcement learning.
        num_warmup: number of dialogues.
        seed: the same seed gives the same bytes, and the same world (`make_world`).

    Returns:
        The manifest.

    Raises:
        ValueError: `out` can't be written.
    """
    world, rng = make_world(seed), random.Random(seed)

    def training_case() -> Case:
        return replace(draw_case(world, rng), knows=rng.random() >= IGNORANT)

    def rows(cases: list[Case], split: str) -> list[dict[str, Any]]:
        return [row_of(case.example(), prompts, split, index) for index, case in enumerate(cases)]

    def tests(of: World, split: str) -> list[dict[str, Any]]:
        return rows([draw_case(of, rng) for _ in range(TEST_CASES)], split)

    def dialogue() -> dict[str, Any]:
        case = training_case()
        return dialogue_of(case.example(), demonstrate(world, case, rng), prompts)

    tables = {
        "train.parquet": (QUESTIONS, rows([training_case() for _ in range(num_train)], "train")),
        "test.parquet": (QUESTIONS, tests(world, "test")),
        "test_prior.parquet": (QUESTIONS, tests(make_world(seed, skewed=True), "test_prior")),
        "warmup.parquet": (DEMONSTRATIONS, [dialogue() for _ in range(num_warmup)]),
    }
    counts = {"train": {SOURCE: num_train}, "test": {SOURCE: TEST_CASES}, "test_prior": {SOURCE: TEST_CASES}}
    manifest = {"source": SOURCE, "licence": "Apache-2.0", "seed": seed, "rows": counts}
    write_data_set(out, tables, manifest)
    return manifest
