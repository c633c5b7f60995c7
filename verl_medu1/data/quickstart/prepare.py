"""The quickstart's data set: questions for training and evaluation, demonstrations for the warm-up."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from verl_medu1.data.budget import BudgetRule, draw_budget
from verl_medu1.data.prompts import Prompts
from verl_medu1.data.quickstart.questions import STYLES, Solved, draw_questions
from verl_medu1.data.schema import DEMONSTRATIONS, QUESTIONS, question_row
from verl_medu1.data.storage import write_data_set

PROMPTS_FILE = Path(__file__).with_name("prompts.yaml")

# The typical lengths of the three styles of reasoning in tokens of the quickstart's tokenizer.
BUDGETS = (BudgetRule("exact", "fixed", (20, 40, 70)),)


def prepare_quickstart(
    out: Path,
    prompts: Prompts,
    num_train: int,
    num_test: int,
    num_warmup: int,
    seed: int,
    budgets: Sequence[BudgetRule] = BUDGETS,
) -> dict[str, Any]:
    """Generate the quickstart's questions and write them.

    Held-out questions have inputs, options or wordings that no question of training or warm-up has.

    Args:
        out: folder for train.parquet, test.parquet, warmup.parquet and manifest.json.
        prompts: texts of the prompts.
        num_train: rows for reinforcement learning.
        num_test: held-out rows, no question twice.
        num_warmup: demonstrations, drawn from the same questions as the training rows.
        seed: the same seed gives the same bytes.
        budgets: rules for the length budgets.

    Returns:
        The manifest.

    Raises:
        ValueError: there are not so many held-out questions, or `out` can't be written.
    """
    train = list(islice(draw_questions(False, seed, random.Random(f"{seed} train")), num_train))
    test = _distinct_test_questions(num_test, seed)
    tables = {
        "train.parquet": (QUESTIONS, _question_rows(train, "train", prompts, budgets, seed)),
        "test.parquet": (QUESTIONS, _question_rows(test, "test", prompts, budgets, seed)),
        "warmup.parquet": (DEMONSTRATIONS, _demonstrations(num_warmup, prompts, budgets, seed)),
    }
    counts = {
        split: dict(sorted(Counter(solved.example.data_source for solved in questions).items()))
        for split, questions in (("train", train), ("test", test))
    }
    manifest = {
        "source": "quickstart",
        "licence": "Apache-2.0",
        "seed": seed,
        "budgets": [str(rule) for rule in budgets],
        "rows": counts,
    }
    write_data_set(out, tables, manifest)
    return manifest


def _distinct_test_questions(number: int, seed: int) -> list[Solved]:
    found: dict[str, Solved] = {}
    # A pool without a new question for so long has no more.
    patience = 50
    for solved in islice(draw_questions(True, seed, random.Random(f"{seed} test")), patience * number):
        if len(found) == number:
            break
        found.setdefault(solved.key, solved)
    if len(found) < number:
        raise ValueError(f"--test is {number}, but only {len(found)} held-out questions were found; ask for fewer.")
    return list(found.values())


def _question_rows(
    questions: Sequence[Solved], split: str, prompts: Prompts, budgets: Sequence[BudgetRule], seed: int
) -> list[dict[str, Any]]:
    rng = random.Random(f"{seed} {split} budgets")
    rows = []
    for index, solved in enumerate(questions):
        example = replace(solved.example, row_id=f"{solved.example.data_source}/{split}/{index}")
        budget = draw_budget(budgets, rng)
        rows.append(question_row(example, prompts.messages(example, budget), budget, split, index))
    return rows


def _demonstrations(number: int, prompts: Prompts, budgets: Sequence[BudgetRule], seed: int) -> list[dict[str, Any]]:
    rng = random.Random(f"{seed} warmup")
    rows = []
    for solved in islice(draw_questions(False, seed, rng), number):
        messages = prompts.messages(solved.example, draw_budget(budgets, rng))
        # Chosen whatever the budget is: keeping to it is left for the reinforcement to teach.
        reasoning = solved.reasoning[rng.choice(STYLES)]
        response = f"<think>{reasoning}</think><answer>{solved.answer}</answer>"
        rows.append({"messages": [*messages, {"role": "assistant", "content": response}]})
    return rows
