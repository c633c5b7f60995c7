"""Generated patients to be examined: their complaint is known, and each other finding is the result of an examination.

The patients are those of consultation.py; instead of asking for a finding, it is ordered, at a price.
"""

import json
import random
from pathlib import Path
from typing import Any

from verl_medu1.data.actions import ASK_CLOSE, ASK_OPEN, ORDER_CLOSE, ORDER_OPEN
from verl_medu1.data.catalogue import EXAMINATIONS
from verl_medu1.data.example import Example
from verl_medu1.data.generated.consultation import DISEASES, FINDINGS, NO, YES, Case, demonstrate, draw_case, make_world
from verl_medu1.data.generated.rows import dialogue_of, row_of
from verl_medu1.data.prompts import Prompts
from verl_medu1.data.schema import DEMONSTRATIONS, QUESTIONS
from verl_medu1.data.storage import write_data_set

SOURCE = "quickstart-examinations"
PRICES = (1, 2, 5)
TEST_CASES = 200


def examined(case: Case, rng: random.Random) -> Example:
    """Return the question about a patient, with a price drawn for each examination."""
    findings = [
        (name, present)
        for place, (name, present) in enumerate(zip(FINDINGS, case.findings, strict=True))
        if place != case.complaint
    ]
    catalogue = {name: {"price": rng.choice(PRICES), "result": YES if present else NO} for name, present in findings}
    question = f"Complaint: {FINDINGS[case.complaint]}."
    environment = json.dumps({EXAMINATIONS: catalogue})
    return Example(SOURCE, "", "open_ended", question, DISEASES[case.disease], environment=environment)


def orders(turns: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return a dialogue with orders in place of questions, and results with the name of the examination."""
    found, asked = [], ""
    for role, text in turns:
        if role == "assistant":
            asked = text.partition(ASK_OPEN)[2].partition(ASK_CLOSE)[0]
            found.append((role, text.replace(ASK_OPEN, ORDER_OPEN).replace(ASK_CLOSE, ORDER_CLOSE)))
        else:
            found.append((role, f"{asked}: {text}"))
    return found


def prepare_examinations(out: Path, prompts: Prompts, num_train: int, num_warmup: int, seed: int) -> dict[str, Any]:
    """Generate patients and dialogues, and write them.

    Args:
        out: folder for train.parquet, test.parquet, warmup.parquet and manifest.json.
        prompts: texts of the prompts.
        num_train: number of rows for reinforcement learning.
        num_warmup: number of dialogues, which order any examinations (`consultation.demonstrate`).
        seed: the same seed gives the same bytes.

    Returns:
        The manifest.

    Raises:
        ValueError: `out` can't be written.
    """
    world, rng = make_world(seed), random.Random(f"examinations {seed}")

    def rows(split: str, number: int) -> list[dict[str, Any]]:
        return [row_of(examined(draw_case(world, rng), rng), prompts, split, index) for index in range(number)]

    def dialogue() -> dict[str, Any]:
        case = draw_case(world, rng)
        return dialogue_of(examined(case, rng), orders(demonstrate(world, case, rng)), prompts)

    tables = {
        "train.parquet": (QUESTIONS, rows("train", num_train)),
        "test.parquet": (QUESTIONS, rows("test", TEST_CASES)),
        "warmup.parquet": (DEMONSTRATIONS, [dialogue() for _ in range(num_warmup)]),
    }
    counts = {"train": {SOURCE: num_train}, "test": {SOURCE: TEST_CASES}}
    manifest = {"source": SOURCE, "licence": "Apache-2.0", "seed": seed, "rows": counts}
    write_data_set(out, tables, manifest)
    return manifest
