"""Reasons to refuse an answer other than different wording: a denial, a hedge, an opposite, another number."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache

from reward_score.normalise import SEPARATOR, Phrase, fold
from reward_score.text import CJK
from reward_score.word_lists import opposite_pairs, refusal_words

_WORD = re.compile(rf"[{CJK}]|[^\W_]+")
_NUMBER = re.compile(r"[-+]?\d")
# Prefixes that give the same stem another meaning.
_PREFIXES = (
    ("hyper", "hypo"), ("macro", "micro"), ("tachy", "brady"), ("poly", "oligo"), ("intra", "extra", "inter", "retro"),
    ("pre", "post"), ("ante", "post"), ("endo", "exo"), ("homo", "hetero"), ("supra", "infra", "sub"), ("multi", "uni"),
    ("uni", "bi"), ("ad", "ab"), ("anterior", "posterior"), ("ecto", "endo"), ("mega", "micro"), ("eu", "dys"),
)  # fmt: skip
_NEGATING = ("non", "in", "un", "im", "ir", "dis", "de", "an", "a", "anti")


def refusal(said: str, phrase: Phrase, wanted: str, reference: Phrase) -> str:
    """Return why an answer contradicts the reference or hedges; "" if it does neither.

    Args:
        said: The answer, cleaned.
        phrase: The answer, normalised.
        wanted: The reference, cleaned.
        reference: The reference, normalised.
    """
    return stated_refusal(said, wanted) or _opposite(phrase, reference) or _other_number(phrase, reference)


def stated_refusal(said: str, wanted: str) -> str:
    """Return the first denial or hedge of an answer that the reference lacks; "" if there is none.

    Example:
        >>> stated_refusal("Avoid heparin", "Heparin")
        "'avoid' is a denial"
    """
    causes, lengths = _causes()
    stated = Counter(_phrases(_lower_words(said), lengths, causes))
    more = stated - Counter(_phrases(_lower_words(wanted), lengths, causes))
    for found in more:
        return f"{found!r} is a {causes[found]}"
    return ""


def _phrases(words: list[str], lengths: Mapping[str, tuple[int, ...]], causes: Mapping[str, str]) -> Iterator[str]:
    """Yield the refusal words and phrases of a text, in order."""
    for place, word in enumerate(words):
        for length in lengths.get(word, ()):
            found = " ".join(words[place : place + length])
            if found in causes:
                yield found


def _lower_words(text: str) -> list[str]:
    return _WORD.findall(text.casefold().replace("/", " / "))


@lru_cache(maxsize=1)
def _causes() -> tuple[dict[str, str], dict[str, tuple[int, ...]]]:
    """Return the cause of each refusal phrase, and for each first word the lengths of its phrases in words."""
    causes = refusal_words()
    lengths: dict[str, tuple[int, ...]] = {}
    for words in causes:
        first, *rest = words.split()
        lengths[first] = (*lengths.get(first, ()), 1 + len(rest))
    return causes, lengths


@lru_cache(maxsize=1)
def opposites() -> dict[str, frozenset[str]]:
    """Return the opposites of each word, in folded spelling."""
    table: dict[str, set[str]] = {}
    for pair in opposite_pairs():
        one, other = map(fold, pair)
        table.setdefault(one, set()).add(other)
        table.setdefault(other, set()).add(one)
    return {word: frozenset(others) for word, others in table.items()}


@lru_cache(maxsize=16384)
def are_opposite(one: str, other: str) -> bool:
    """Return whether two folded words are opposites, by the list or by a prefix.

    Example:
        >>> are_opposite("hyperkalemia", "hypokalemia"), are_opposite("left", "right"), are_opposite("valid", "invalid")
        (True, True, True)
    """
    if other in opposites().get(one, ()):
        return True
    if one[-3:] != other[-3:]:
        return False  # the other rules want a common stem
    for prefixes in _PREFIXES:
        begins = [prefix for prefix in prefixes if one.startswith(prefix)]
        for prefix in begins:
            stem = one[len(prefix) :]
            if len(stem) > 2 and any(other == swapped + stem for swapped in prefixes if swapped != prefix):
                return True
    short, long = sorted((one, other), key=len)
    return len(short) > 4 and long.endswith(short) and long.removesuffix(short) in _NEGATING


def _opposite(phrase: Phrase, reference: Phrase) -> str:
    said, wanted = set(phrase.tokens), set(reference.tokens)
    for word in sorted(said - wanted):
        for other in sorted(wanted - said):
            if are_opposite(word, other):
                return f"{word!r} for {other!r}"
    return ""


def axes(tokens: tuple[str, ...]) -> bool:
    """Return whether a text has both words of a pair of opposites, or one of them twice, so that word order matters."""
    polar = [word for word in tokens if word in opposites()]
    if len(polar) > 1 and len(set(polar)) < len(polar):
        return True
    return any(other in opposites()[word] for word in polar for other in polar)


def is_polar(word: str) -> bool:
    """Return whether a word has an opposite in the list."""
    return word in opposites()


def _other_number(phrase: Phrase, reference: Phrase) -> str:
    """Return a reason if a number, letter or Roman numeral differs: vitamin B for vitamin A, type 2 for type 1."""
    said, wanted = _markers(phrase), _markers(reference)
    if said and wanted and said != wanted:
        return "another number, letter or Roman numeral than in the reference"
    return ""


def _markers(phrase: Phrase) -> set[str]:
    return {
        token
        for token in phrase.tokens
        if token != SEPARATOR and (_NUMBER.match(token) or (len(token) == 1 and token.isascii() and token.isalpha()))
    }
