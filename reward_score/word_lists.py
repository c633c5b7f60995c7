"""The fixed word lists of the open-ended scorer, each a CSV file in this folder."""

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
    """Return word -> its common form: irregular plurals, numbers in words, units, spellings, organ adjectives."""
    return {word: form for word, form, _ in _rows("word_forms")}


@lru_cache(maxsize=1)
def abbreviations() -> dict[str, str]:
    """Return abbreviation -> its words, for abbreviations with a single meaning in medicine."""
    return {short: words for short, words in _rows("abbreviations")}


@lru_cache(maxsize=1)
def refusal_words() -> dict[str, str]:
    """Return words or phrase -> "denial" or "hedge"."""
    return {words: cause for words, cause in _rows("refusal_words")}


@lru_cache(maxsize=1)
def opposite_pairs() -> tuple[tuple[str, str], ...]:
    """Return pairs of opposites: an answer must not have one where the reference has the other."""
    return tuple((word, opposite) for word, opposite in _rows("opposites"))


@lru_cache(maxsize=1)
def name_groups() -> tuple[tuple[str, ...], ...]:
    """Return groups of names, each of which means the same thing wherever it is used in medicine."""
    return tuple((name, *others.split("; ")) for name, others in _rows("synonyms"))


@lru_cache(maxsize=1)
def asked_words() -> dict[str, tuple[str, ...]]:
    """Return a word by which a question asks -> the words that may then be said of the answer or left out.

    "Which nerve is injured?" may be answered by "radial nerve palsy".
    """
    words: defaultdict[str, tuple[str, ...]] = defaultdict(tuple)
    for asked, answer_word in _rows("asked_words"):
        words[asked] += (answer_word,)
    return dict(words)


@lru_cache(maxsize=1)
def word_roles() -> dict[str, frozenset[str]]:
    """Return role -> words, by their role in an answer; see `docs/scorers.md`."""
    roles: defaultdict[str, set[str]] = defaultdict(set)
    for word, role in _rows("word_roles"):
        roles[role].add(word)
    return {role: frozenset(words) for role, words in roles.items()}
