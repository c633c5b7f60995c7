"""The quickstart's data set: questions for training and evaluation, demonstrations for the warm-up."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from reward_score.response import format_response
from verl_medu1.data.budget import Budget
from verl_medu1.data.generated.questions import STYLES, Solved, draw_questions
from verl_medu1.data.prompts import Prompts
from verl_medu1.data.schema import DEMONSTRATIONS, QUESTIONS, question_row
from verl_medu1.data.storage import write_data_set

PROMPTS_FILE = Path(__file__).with_name("prompts.yaml")

# Response lengths in tokens, typical of the three reasoning styles with the quickstart's tokenizer.
BUDGETS = (12, 22, 40)

QUICKSTART_TRAIN, QUICKSTART_DEMONSTRATIONS = 2000, 6000

# Held-out questions per answer type, or as many as there are.
TEST_QUESTIONS = 30

# The demonstrations are deliberately flawed: these shares of them have a wrong answer, and a budget drawn independently
# of their length. Reinforcement learning has to find out, from the reward alone, which behaviour to keep.
WRONG_SHARE = 0.5
OFF_BUDGET_SHARE = 0.5


def prepare_quickstart(
    out: Path, prompts: Prompts, num_train: int, num_warmup: int, seed: int, mode: str = "exact"
) -> dict[str, Any]:
    """Generate the quickstart's questions and write them.

    No text of a held-out question occurs in training or warm-up. The first held-out questions, up to `TEST_QUESTIONS`
    of each type, are in the test file once per budget.

    Args:
        out: folder for train.parquet, test.parquet, warmup.parquet and manifest.json.
        prompts: texts of the prompts.
        num_train: number of rows for reinforcement learning.
        num_warmup: number of demonstrations, drawn from the same questions as the training rows.
        seed: the same seed gives the same bytes.
        mode: budget mode, "exact" or "max".

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
    """Return the first held-out questions of each answer type, without repeated texts."""
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
        response = format_response(solved.reasoning[answer][style], answer)
        messages = prompts.messages(solved.example, budget)
        rows.append({"messages": [*messages, {"role": "assistant", "content": response}]})
    return rows
