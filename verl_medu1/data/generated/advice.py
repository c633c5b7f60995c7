"""Discharge advice with a checklist that rules decide: four things to say, and two that must not be said.

The advice is general and for demonstration: nobody should be treated by it.
"""

import random
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from reward_score.checklist import Item
from verl_medu1.data.example import Example

SOURCE = "quickstart-advice"
# Share of the sentences of a demonstration that are its condition's own; the others are of another one.
RIGHT_SHARE = 0.53
# A demonstration has this many sentences.
SENTENCES = 4


@cache
def facts() -> dict[str, Any]:
    """Return the content of advice.yaml."""
    return yaml.safe_load(Path(__file__).with_name("advice.yaml").read_text(encoding="utf-8"))


def draw(rng: random.Random) -> Example:
    """Draw a question; its gold answer says all four things.

    Example:
        >>> example = draw(random.Random(0))
        >>> example.gold.count("."), [item.must_not for item in example.checklist]
        (4, [False, False, False, False, True, True])
    """
    conditions = facts()["conditions"]
    condition = rng.choice(list(conditions))
    question = rng.choice(facts()["questions"]).format(age=rng.choice(range(20, 40)), condition=condition)
    wanted, refused = conditions[condition]["must"], conditions[condition]["must_not"]
    items = [_item(advice, False) for advice in wanted] + [_item(advice, True) for advice in refused]
    return Example(SOURCE, "", "open_ended", question, _in_words(wanted), checklist=tuple(items))


def _item(advice: str, must_not: bool) -> Item:
    words: Mapping[str, Any] = facts()["advice"]
    return Item(
        statement=f"Advises to {advice}",
        aliases=tuple(words[advice]),
        must_not=must_not,
        example=_in_words([advice]) if must_not else None,
    )


def _in_words(advice: list[str]) -> str:
    return " ".join(f"{one.capitalize()}." for one in advice)


def demonstrate(example: Example, rng: random.Random) -> tuple[str, str]:
    """Draw reasoning and answer: sentences of which some are of another condition, and may be must-nots of this one.

    Example:
        >>> reasoning, answer = demonstrate(draw(random.Random(0)), random.Random(0))
        >>> answer.count(".")
        4
    """
    conditions = facts()["conditions"]
    condition = next(name for name in conditions if name in example.question)
    own = rng.sample(conditions[condition]["must"], SENTENCES)
    others = [advice for advice in facts()["advice"] if advice not in own]
    said = [advice if rng.random() < RIGHT_SHARE else rng.choice(others) for advice in own]
    return condition, _in_words(said)
