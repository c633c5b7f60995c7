"""The quickstart's data set: questions for training and evaluation, demonstrations for the warm-up."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from verl_medu1.data.budget import Budget
from verl_medu1.data.generated.questions import STYLES, Solved, draw_questions
from verl_medu1.data.prompts import Prompts
from verl_medu1.data.schema import DEMONSTRATIONS, QUESTIONS, question_row
from verl_medu1.data.storage import write_data_set

PROMPTS_FILE = Path(__file__).with_name("prompts.yaml")

# Tokens of a whole response: the typical lengths of the three styles of reasoning in the quickstart's tokenizer.
BUDGETS = tuple(Budget("exact", tokens) for tokens in (12, 22, 35))


def prepare_quickstart(out: Path, prompts: Prompts, num_train: int, num_warmup: int, seed: int) -> dict[str, Any]:
    """Generate the quickstart's questions and write them.

    Held-out questions have inputs (calculations) or wordings (facts) that no question of training or warm-up has. Each
    stands in the test file once with each budget.

    Args:
        out: folder for train.parquet, test.parquet, warmup.parquet and manifest.json.
        prompts: texts of the prompts.
        num_train: rows for reinforcement learning.
        num_warmup: demonstrations, drawn from the same questions as the training rows.
        seed: the same seed gives the same bytes.

    Returns:
        The manifest.

    Raises:
        ValueError: `out` can't be written.
    """
    rng = random.Random(seed)
    train = [(solved, rng.choice(BUDGETS)) for solved in islice(draw_questions(False, seed, rng), num_train)]
    test = [(solved, budget) for solved in _held_out_questions(seed) for budget in BUDGETS]
    tables = {
        "train.parquet": (QUESTIONS, _question_rows(train, "train", prompts)),
        "test.parquet": (QUESTIONS, _question_rows(test, "test", prompts)),
        "warmup.parquet": (DEMONSTRATIONS, _demonstrations(num_warmup, prompts, seed, rng)),
    }
    counts = {
        split: dict(sorted(Counter(solved.example.data_source for solved, _ in questions).items()))
        for split, questions in (("train", train), ("test", test))
    }
    manifest = {"source": "quickstart", "licence": "Apache-2.0", "seed": seed, "rows": counts}
    write_data_set(out, tables, manifest)
    return manifest


def _held_out_questions(seed: int) -> list[Solved]:
    """All held-out questions, each once; so many draws find them all but for a rare one."""
    draws = islice(draw_questions(True, seed, random.Random(seed)), 3000)
    return list({solved.example.question: solved for solved in draws}.values())


def _question_rows(questions: Sequence[tuple[Solved, Budget]], split: str, prompts: Prompts) -> list[dict[str, Any]]:
    rows = []
    for index, (solved, budget) in enumerate(questions):
        example = replace(solved.example, row_id=f"{solved.example.data_source}/{split}/{index}")
        rows.append(question_row(example, prompts.messages(example, budget), budget, split, index))
    return rows


def _demonstrations(number: int, prompts: Prompts, seed: int, rng: random.Random) -> list[dict[str, Any]]:
    rows = []
    for solved in islice(draw_questions(False, seed, rng), number):
        messages = prompts.messages(solved.example, rng.choice(BUDGETS))
        # Chosen whatever the budget is: keeping to it is left for the reinforcement to teach.
        reasoning = solved.reasoning[rng.choice(STYLES)]
        response = f"<think>{reasoning}</think><answer>{solved.example.gold}</answer>"
        rows.append({"messages": [*messages, {"role": "assistant", "content": response}]})
    return rows
