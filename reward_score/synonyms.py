"""Other names of the same thing, for the words of a reference: "heart attack" for "myocardial infarction"."""

import math
import re
from collections import defaultdict
from functools import lru_cache

from reward_score.normalise import Phrase, join, normalise
from reward_score.word_lists import name_groups

# At most this many names per reference, so that a list of many things stays cheap to compare with.
_MOST_NAMES = 40
_AGAINST = re.compile(
    r"(?:auto)?(?P<what>antibod|vaccin)(?:y|ies|es?|ation)\s+(?:directed\s+)?(?:against|to|for)\s+(?:the\s+)?(?P<target>.+)",
    re.IGNORECASE,
)
_ANTI = re.compile(
    r"anti-?\s?(?P<target>.+?)\s+(?:auto)?(?P<what>antibod)(?:y|ies)|(?P<disease>.+)\s+vaccin(?:es?|ation)",
    re.IGNORECASE,
)
# Units by size, each with its number of the next smaller one.
_UNITS = (
    (("year", 12), ("month", 1)),
    (("week", 7), ("day", 24), ("hour", 60), ("minute", 60), ("sec", 1)),
    (("kg", 1000), ("g", 1000), ("mg", 1000), ("ug", 1)),
    (("l", 10), ("dl", 100), ("ml", 1)),
    (("m", 100), ("cm", 10), ("mm", 1)),
)


def other_names(phrase: Phrase) -> tuple[Phrase, ...]:
    """Return a reference with the other names of the things that it names, by `synonyms.csv`.

    Example:
        >>> [name.tokens for name in other_names(normalise("Acute heart attack"))]
        [('acute', 'myocardium', 'infarction')]
    """
    tokens = phrase.tokens
    found: dict[tuple[str, ...], None] = {}
    for start, first in enumerate(tokens):
        for name, others in _by_first_word().get(first, ()):
            end = start + len(name)
            if tokens[start:end] == name:
                found.update(dict.fromkeys((*tokens[:start], *other, *tokens[end:]) for other in others))
    return tuple(Phrase(words, join(words), join(words), phrase.is_ordered) for words in list(found)[:_MOST_NAMES])


def names_by_target(text: str) -> tuple[str, ...]:
    """Return the other ways to name an antibody or a vaccine by its target; () for anything else.

    Example:
        >>> names_by_target("Anti-Smith antibodies")
        ('antibody against Smith', 'antibody to Smith', 'anti-Smith antibody', 'anti-Smith', 'Smith antibody')
        >>> names_by_target("Vaccine for yellow fever")
        ('vaccine against yellow fever', 'vaccine for yellow fever', 'yellow fever vaccine')
    """
    text = text.strip(" .")
    found = _AGAINST.fullmatch(text) or _ANTI.fullmatch(text)
    if not found:
        return ()
    parts = found.groupdict()
    target = parts["target"] or parts["disease"]
    if not parts["what"] or parts["what"].casefold() == "vaccin":
        return (f"vaccine against {target}", f"vaccine for {target}", f"{target} vaccine")
    names = (
        f"antibody against {target}", f"antibody to {target}", f"anti-{target} antibody", f"anti-{target}",
        f"{target} antibody",
    )  # fmt: skip
    # Antibodies against immunoglobulins are not those immunoglobulins.
    return names[:4] if target.casefold().startswith(("ig", "immunoglobulin", "antibod")) else names


def equal_amounts(phrase: Phrase) -> tuple[Phrase, ...]:
    """Return an amount that is the whole reference in other units: "1 week" for "7 days".

    Example:
        >>> [amount.joined for amount in equal_amounts(normalise("500 mcg"))]
        ['0.5mg']
    """
    if len(phrase.tokens) != 2 or not re.fullmatch(r"\d+(?:\.\d+)?", phrase.tokens[0]):
        return ()
    number, unit = float(phrase.tokens[0]), phrase.tokens[1]
    amounts = []
    for scale in _UNITS:
        names = [name for name, _ in scale]
        if unit not in names:
            continue
        sizes = [math.prod(factor for _, factor in scale[place:]) for place in range(len(scale))]
        for name, size in zip(names, sizes, strict=True):
            value = round(number * sizes[names.index(unit)] / size, 9)
            if name != unit and 0.1 <= value < 10_000 and value == round(value, 2):
                amounts.append(f"{value:g} {name}")
    return tuple(map(normalise, amounts))


@lru_cache(maxsize=1)
def _by_first_word() -> dict[str, tuple[tuple[tuple[str, ...], tuple[tuple[str, ...], ...]], ...]]:
    """Return for each first word the names that begin with it, each with the other names of its group."""
    table = defaultdict(list)
    for group in name_groups():
        names = tuple(dict.fromkeys(normalise(name).tokens for name in group))
        for name in names:
            table[name[0]].append((name, tuple(other for other in names if other != name)))
    return {first: tuple(entries) for first, entries in table.items()}
