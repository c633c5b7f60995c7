"""Multiple-choice questions with their options in other orders, to see which right answers are luck.

A model that guesses, or that prefers a letter, is right under some orders. One that knows the answer is right under
most of them.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

from reward_score.multiple_choice import read_options
from verl_medu1.data.prompts import Prompts
from verl_medu1.evaluate.formats import ABOUT_OPTIONS, prompt_parts
from verl_medu1.evaluate.questions import AS_PREPARED, Question

PREFIX = "other_order_"


def is_order(asked_as: str) -> bool:
    """Return whether a question was asked with its options in some order: as prepared, or another.

    Example:
        >>> is_order("as_prepared"), is_order("other_order_1"), is_order("ranked_list")
        (True, True, False)
    """
    return asked_as == AS_PREPARED or asked_as.startswith(PREFIX)


def in_other_orders(questions: Sequence[Question], prompts: Prompts, orders: int, seed: int) -> list[Question]:
    """Convert each question with options to further questions with other orders of its options.

    The orders are rotations, drawn at random without repetition: each text stands at each letter at most once, so that
    a model that always gives the same letter is right under one order at most. A question has at most as many orders as
    options, the prepared one included. Questions with an option that refers to others ("both A and D", "all of the
    above") are left out.

    Args:
        questions: as prepared.
        prompts: the texts with which they were prepared.
        orders: orders of each question in all, with the prepared one; at least 2.
        seed: of the draw.

    Returns:
        Questions with `asked_as` set, their gold letter and their options in `extra_info` moved.

    Raises:
        ValueError: a question with options was prepared with other texts, or `orders` is below 2.
    """
    if orders < 2:
        raise ValueError(f"--orders is {orders}; give at least 2, the prepared order and another.")
    asked = []
    for question in questions:
        options = read_options(question.extra_info.get("options"))
        if question.ground_truth not in options or any(map(ABOUT_OPTIONS.search, options.values())):
            continue
        stem, block, _ = prompt_parts(question, options, prompts)
        closing = question.prompt[-1]["content"].removeprefix(f"{stem}\n{block}\n")
        shifts = list(range(1, len(options)))
        random.Random(f"{seed} {question.data_source} {question.row_id}").shuffle(shifts)
        for number, shift in enumerate(shifts[: orders - 1], start=1):
            asked.append(_rotated(question, options, shift, stem, closing, prompts, f"{PREFIX}{number}"))
    return asked


def _rotated(
    question: Question, options: dict[str, str], shift: int, stem: str, closing: str, prompts: Prompts, name: str
) -> Question:
    letters, texts = list(options), list(options.values())
    moved = {letter: texts[(place + shift) % len(texts)] for place, letter in enumerate(letters)}
    block = "\n".join(prompts.option.format(letter=letter, text=text) for letter, text in moved.items())
    gold = letters[(letters.index(question.ground_truth) - shift) % len(letters)]
    return replace(
        question,
        prompt=[*question.prompt[:-1], {"role": "user", "content": f"{stem}\n{block}\n{closing}"}],
        ground_truth=gold,
        extra_info=question.extra_info | {"options": [{"letter": key, "text": text} for key, text in moved.items()]},
        asked_as=name,
    )
