"""Rows of generated conversations: a question, and a demonstration of several turns."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from verl_medu1.data.budget import NO_BUDGET, Budget
from verl_medu1.data.example import Example
from verl_medu1.data.prompts import Prompts
from verl_medu1.data.schema import IMAGES, image_column, question_row


def row_of(example: Example, prompts: Prompts, split: str, index: int, budget: Budget = NO_BUDGET) -> dict[str, Any]:
    """Return a question's row of the schema `QUESTIONS`, with an id from its source, split and place."""
    named = replace(example, row_id=f"{example.data_source}/{split}/{index}")
    return question_row(named, prompts.messages(named, budget), budget, split, index)


def dialogue_of(
    example: Example, turns: Iterable[tuple[str, str]], prompts: Prompts, budget: Budget = NO_BUDGET
) -> dict[str, Any]:
    """Return a row of the schema `DEMONSTRATIONS`: the question's prompt, then turns of (role, text)."""
    said = [{"role": role, "content": text} for role, text in turns]
    return {"messages": [*prompts.messages(example, budget), *said], IMAGES: image_column(example)}
