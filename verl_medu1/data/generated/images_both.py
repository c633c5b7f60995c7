"""The generated pictures asked in two ways, with options and open-ended, each with a length budget.

Each picture of a file of questions is there in both ways, with the same wording and budget: the two differ in nothing
but in how the answer is given. Demonstrations reason in three lengths, and half of them state a budget that is drawn
regardless of theirs, so that training has to find out what pays.
"""

import random
from dataclasses import replace

from verl_medu1.data.budget import Budget
from verl_medu1.data.generated.images import Shown, demonstrate, draw
from verl_medu1.data.generated.prepare import OFF_BUDGET_SHARE

OPEN_SOURCE = "quickstart-images-open"
# Each is asked in both ways. A benchmark asks them several times in a training, at the price of many of its steps.
TEST_PICTURES = 50
# Budget -> reasoning whose response has about as many tokens with the small model's tokenizer. Each begins with what it
# comes to, so that right answers are as easy at one length as at another.
REASONING = {
    10: "{way} {said}",
    16: "{way} {said}, so the answer is {said}",
    30: "{way} {said}, so the answer is {said}. Check: {way} again, see {said}, so the answer is {said}",
}


def open_ended(shown: Shown) -> Shown:
    """Return the question without its options: the answer is a word.

    Example:
        >>> shown = draw(random.Random(2))
        >>> shown.example.gold, open_ended(shown).example.gold
        ('A', 'left')
    """
    example = replace(shown.example, data_source=OPEN_SOURCE, answer_type="open_ended", gold=shown.answer, options=())
    return replace(shown, example=example)


def draw_both(rng: random.Random, pictures: int) -> list[Shown]:
    """Draw pictures, and ask about each with options and open-ended.

    Args:
        rng: source of all choices; the same state gives the same bytes.
        pictures: their number.

    Returns:
        Two questions for each picture, one after the other.

    Example:
        >>> [shown.example.answer_type for shown in draw_both(random.Random(2), 2)]
        ['multiple_choice', 'open_ended', 'multiple_choice', 'open_ended']
    """
    drawn = [replace(draw(rng), budget=_budget(rng.choice(list(REASONING)))) for _ in range(pictures)]
    return [asked for shown in drawn for asked in (shown, open_ended(shown))]


def demonstrate_both(rng: random.Random, is_open: bool) -> tuple[Shown, tuple[str, str]]:
    """Draw a picture and a demonstration: the question, and reasoning and answer.

    Example:
        >>> shown, response = demonstrate_both(random.Random(2), True)
        >>> shown.answer, shown.budget.tokens, response
        ('3', 16, ('look 3', '3'))
    """
    tokens = stated = rng.choice(list(REASONING))
    if rng.random() < OFF_BUDGET_SHARE:
        stated = rng.choice(list(REASONING))
    shown = replace(draw(rng), budget=_budget(stated))
    if is_open:
        shown = open_ended(shown)
    return shown, demonstrate(shown, rng, REASONING[tokens])


def _budget(tokens: int) -> Budget:
    return Budget("exact", tokens)
