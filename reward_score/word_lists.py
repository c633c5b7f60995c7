"""The closed word lists behind the open-ended scorer, each a CSV file beside this module."""

import csv
from collections import defaultdict
from functools import lru_cache
from pathlib import Path

_FOLDER = Path(__file__).parent


def _rows(name: str) -> list[list[str]]:
    with (_FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines))[1:]


@lru_cache(maxsize=1)
def word_forms() -> dict[str, str]:
    """Irregular plurals, numbers in words, units, spellings, organ adjectives: each word's one form."""
    return {word: form for word, form, _ in _rows("word_forms")}


@lru_cache(maxsize=1)
def abbreviations() -> dict[str, str]:
    """Abbreviations with one meaning in medicine: abbreviation -> its words."""
    return {short: words for short, words in _rows("abbreviations")}


@lru_cache(maxsize=1)
def refusal_words() -> dict[str, str]:
    """Words and phrases that deny an answer or leave it open: words -> "denial" or "hedge"."""
    return {words: cause for words, cause in _rows("refusal_words")}


@lru_cache(maxsize=1)
def opposite_pairs() -> tuple[tuple[str, str], ...]:
    """Pairs of words of which an answer can't have one where the reference has the other."""
    return tuple((word, opposite) for word, opposite in _rows("opposites"))


@lru_cache(maxsize=1)
def word_roles() -> dict[str, frozenset[str]]:
    """Words by the part they play in an answer, see `docs/scorers.md`: role -> words."""
    roles: defaultdict[str, set[str]] = defaultdict(set)
    for word, role in _rows("word_roles"):
        roles[role].add(word)
    return {role: frozenset(words) for role, words in roles.items()}
