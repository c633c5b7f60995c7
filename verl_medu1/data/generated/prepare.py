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
BUDGETS = (12, 22, 40)

QUICKSTART_TRAIN, QUICKSTART_DEMONSTRATIONS = 2000, 6000

# Held-out questions of each answer type, or as many as there are.
TEST_QUESTIONS = 30

# The demonstrations are those of a careless teacher: so many have a wrong answer, and so many a length that does not
# look at the budget. What is left to reinforcement is to tell by the reward alone which of its habits to keep.
WRONG_SHARE = 0.5
OFF_BUDGET_SHARE = 0.5


def prepare_quickstart(
    out: Path, prompts: Prompts, num_train: int, num_warmup: int, seed: int, mode: str = "exact"
) -> dict[str, Any]:
    """Generate the quickstart's questions and write them.

    No text of a held-out question stands in training or warm-up. The first of them, up to
    `TEST_QUESTIONS` of each type, stand in the test file once with each budget.

    Args:
        out: folder for train.parquet, test.parquet, warmup.parquet and manifest.json.
        prompts: texts of the prompts.
        num_train: rows for reinforcement learning.
        num_warmup: demonstrations, drawn from the same questions as the training rows.
        seed: the same seed gives the same bytes.
        mode: of the budgets, "exact" or "max".

    Returns:
        The manifest.

    Raises:
        ValueError: `out` can't be written.
    """
    rng = random.Random(seed)
    budgets = [Budget(mode, tokens) for tokens in BUDGETS]
    train = [(solved, rng.choice(budgets)) for solved in islice(draw_questions(False, seed, rng), num_train)]
    test = [(solved, budget) for solved in _held_out_questions(seed) for budget in budgets]
    tables = {
        "train.parquet": (QUESTIONS, _question_rows(train, "train", prompts)),
        "test.parquet": (QUESTIONS, _question_rows(test, "test", prompts)),
        "warmup.parquet": (DEMONSTRATIONS, _demonstrations(num_warmup, budgets, prompts, seed, rng)),
    }
    counts = {
        split: dict(sorted(Counter(solved.example.data_source for solved, _ in questions).items()))
        for split, questions in (("train", train), ("test", test))
    }
    manifest = {"source": "quickstart", "licence": "Apache-2.0", "seed": seed, "rows": counts}
    write_data_set(out, tables, manifest)
    return manifest


def _held_out_questions(seed: int) -> list[Solved]:
    """The first held-out questions, each text once, as many of each type."""
    by_type: dict[str, dict[str, Solved]] = {}
    for solved in islice(draw_questions(True, seed, random.Random(seed)), 3000):
        of_type = by_type.setdefault(solved.example.answer_type, {})
        if len(of_type) < TEST_QUESTIONS:
            of_type[solved.example.question] = solved
    return [solved for of_type in by_type.values() for solved in of_type.values()]


def _question_rows(questions: Sequence[tuple[Solved, Budget]], split: str, prompts: Prompts) -> list[dict[str, Any]]:
    rows = []
    for index, (solved, budget) in enumerate(questions):
        example = replace(solved.example, row_id=f"{solved.example.data_source}/{split}/{index}")
        rows.append(question_row(example, prompts.messages(example, budget), budget, split, index))
    return rows


def _demonstrations(
    number: int, budgets: Sequence[Budget], prompts: Prompts, seed: int, rng: random.Random
) -> list[dict[str, Any]]:
    rows = []
    for solved in islice(draw_questions(False, seed, rng), number):
        style, budget = rng.choice(list(zip(STYLES, budgets, strict=True)))
        if rng.random() < OFF_BUDGET_SHARE:
            budget = rng.choice(budgets)
        answer = solved.example.gold
        if rng.random() < WRONG_SHARE:
            answer = rng.choice([other for other in solved.reasoning if other != answer])
        response = f"<think>{solved.reasoning[answer][style]}</think><answer>{answer}</answer>"
        messages = prompts.messages(solved.example, budget)
        rows.append({"messages": [*messages, {"role": "assistant", "content": response}]})
    return rows
