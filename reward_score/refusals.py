"""Reasons to refuse an answer other than different wording: a denial, a hedge, an opposite, another number."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache

from reward_score.normalise import Phrase, fold
from reward_score.text import CJK
from reward_score.word_lists import opposite_pairs, refusal_words

_WORD = re.compile(rf"[{CJK}]|[^\W_]+")
# A number, letter or Roman numeral at the beginning of a token.
_MARKER = re.compile(r"[-+]?\d|[a-z]\Z")
# Prefixes that give the same stem another meaning.
_PREFIXES = (
    ("hyper", "hypo"), ("macro", "micro"), ("tachy", "brady"), ("poly", "oligo"), ("intra", "extra", "inter", "retro"),
    ("pre", "post"), ("ante", "post"), ("endo", "exo"), ("homo", "hetero"), ("supra", "infra", "sub"), ("multi", "uni"),
    ("uni", "bi"), ("ad", "ab"), ("anterior", "posterior"), ("ecto", "endo"), ("mega", "micro"), ("eu", "dys"),
)  # fmt: skip
_NEGATING = ("non", "in", "un", "im", "ir", "dis", "de", "an", "a", "anti")


def stated_refusal(said: str, wanted: str) -> str:
    """Return the first denial or hedge of an answer that the reference lacks; "" if there is none.

    Example:
        >>> stated_refusal("Avoid heparin", "Heparin")
        "'avoid' is a denial"
    """
    causes, lengths = _causes()
    words = _lower_words(said)
    if lengths.keys().isdisjoint(words):
        return ""
    more = Counter(_phrases(words, lengths, causes)) - Counter(_phrases(_lower_words(wanted), lengths, causes))
    return next((f"{found!r} is a {causes[found]}" for found in more), "")


def contradiction(phrase: Phrase, reference: Phrase) -> str:
    """Return the opposite or the other number that an answer has in place of the reference's; "" if there is none.

    Example:
        >>> from reward_score.normalise import normalise
        >>> contradiction(normalise("left kidney"), normalise("right kidney"))
        "'left' for 'right'"
    """
    said, wanted = set(phrase.tokens), set(reference.tokens)
    opposite = min(opposite_words(said - wanted, wanted - said), default=None)
    if opposite:
        return f"{opposite[0]!r} for {opposite[1]!r}"
    # Vitamin B for vitamin A, type 2 for type 1.
    markers, wanted_markers = set(filter(_MARKER.match, said)), set(filter(_MARKER.match, wanted))
    if markers and wanted_markers and markers != wanted_markers:
        return "another number, letter or Roman numeral than in the reference"
    return ""


def opposite_words(said: Collection[str], wanted: Collection[str]) -> list[tuple[str, str]]:
    """Return each folded word of an answer with each opposite of it among other words.

    Example:
        >>> opposite_words(["left", "kidney"], ["right", "lung"])
        [('left', 'right')]
    """
    # Only a listed word, or one that ends like the other, can be an opposite.
    listed, endings = opposites(), {word[-3:] for word in wanted}
    suspects = [word for word in said if word in listed or word[-3:] in endings]
    return [(word, other) for word in suspects for other in wanted if are_opposite(word, other)]


def _phrases(words: list[str], lengths: Mapping[str, tuple[int, ...]], causes: Mapping[str, str]) -> Iterator[str]:
    """Yield the refusal words and phrases of a text, in order."""
    for place, word in enumerate(words):
        for length in lengths.get(word, ()):
            found = " ".join(words[place : place + length])
            if found in causes:
                yield found


def _lower_words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


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


def axes(tokens: tuple[str, ...]) -> bool:
    """Return whether a text has both words of a pair of opposites, or one of them twice, so that word order matters."""
    polar = [word for word in tokens if word in opposites()]
    if len(polar) > 1 and len(set(polar)) < len(polar):
        return True
    return any(other in opposites()[word] for word in polar for other in polar)


def is_polar(word: str) -> bool:
    """Return whether a word has an opposite in the list."""
    return word in opposites()
