"""Normalises short answers: spelling, plurals, numbers, units, Greek letters, abbreviations."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from reward_score.text import CJK, GREEK, plain, without_accents
from reward_score.word_lists import abbreviations, word_forms, word_roles

# Separates the items of a list.
SEPARATOR = "|"

# Words come first: most tokens are words, and every earlier alternative would be tried on each of them.
_TOKEN = re.compile(
    rf"[^\W\d_{CJK}][^\W_{CJK}]*|\d+(?:st|nd|rd|th)\b|(?<![\w)])[-+]?\d+(?:[.,]\d+)*|\d+(?:[.,]\d+)*|[{CJK}]"
    r"|[<>\u2264\u2265%\u00b1;,+|]|(?<=\d)[:/](?=\d)|(?<=\w)-(?=\s|$)"
)
_CLEAN = re.compile(
    r"n't\b|'s\b|s'(?=\s|$)|(?<=\b[A-Za-z])-(?=\d)|<=|>=|\bper\s?cent\b|\u00b0|\s[&+]\s|\s-+\s|[()\[\]]", re.IGNORECASE
)
_CLEANED = {
    "n't": " not", "'s": "", "s'": "s", "<=": "\u2264", ">=": "\u2265", "\u00b0": " degree ",
    "&": " and ", "+": " and ",
    "(": " ", ")": " ", "[": " ", "]": " ",
}  # fmt: skip
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
# "about 420": the word does not change the number.
_ABOUT = re.compile(
    r"(?:\b(?:about|approximately|approx\.?|around|roughly|circa)\s+|[~\u2248]\s*)(?=[\d.])", re.IGNORECASE
)
# "between 18 and 20": the same as "18-20".
_BETWEEN = re.compile(r"\bbetween\s+(\d[\d.]*)\s+and\s+(?=\d)", re.IGNORECASE)
_TENS_AND_ONES = re.compile(
    r"\b(twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)[-\s](one|two|three|four|five|six|seven|eight|nine)\b",
    re.IGNORECASE,
)
# A prefix that is no word of its own: "para-aortic", "post-partum".
_PREFIX = re.compile(
    r"\b(ante|anti|auto|cardio|cerebro|electro|endo|extra|gastro|hyper|hypo|infra|inter|intra|micro|multi|naso|neuro|non|pan|para|"
    r"peri|poly|post|pre|pseudo|re|retro|semi|sub|supra|thrombo|trans|ultra|vaso)-(?=[a-z]{4})",
    re.IGNORECASE,
)
# "most likely X" at the beginning of an answer.
_LIKELY = re.compile(r"^\W*(?:the\s+)?most\s+(?:likely|probable|probably)\b[\s:]*", re.IGNORECASE)
# British and American spellings, and other variants, each with its common form.
_SPELLING = (
    (re.compile(r"ae|oe"), "e"),
    (re.compile(r"sulph"), "sulf"),
    (re.compile(r"(?<=[lt])ys(?=(?:e|ed|ing)$)"), "yz"),
    (re.compile(r"is(?=(?:e|ed|es|ing|ation|ations|er)$)"), "iz"),
    (re.compile(r"(?<=[a-z]{3})iz(?:e|ed|es|ing)$"), "ization"),
    (re.compile(r"(?<=[a-z]{3})at(?:ed|ing)$"), "ation"),
    (re.compile(r"(?<=[a-z]{2})ll(?=(?:ed|ing)$)"), "l"),
    (re.compile(r"(?<=[a-z]{3})ogue$"), "og"),
    (re.compile(r"(?<=[a-z]{3})our$"), "or"),
    (re.compile(r"(?<=[a-z]{3})ical$"), "ic"),
    (re.compile(r"zoosperm"), "sperm"),
    (re.compile(r"^leuc(?=o)"), "leuk"),
    (re.compile(r"(?<=[a-z]{3})graphy$"), "gram"),
    (re.compile(r"(?<=[a-z]{2})cocci$"), "coccus"),
    (re.compile(r"(?<=[a-z]{2})omata$"), "oma"),
)  # fmt: skip
_ROMAN = {
    "i": "1",
    "ii": "2",
    "iii": "3",
    "iv": "4",
    "v": "5",
    "vi": "6",
    "vii": "7",
    "viii": "8",
    "ix": "9",
    "x": "10",
}
_SEPARATORS = frozenset((",", ";", SEPARATOR, "and"))
# Function words that may also be the letter of a type: "vitamin A".
_LETTERS = frozenset(("a", "i"))
_NUMBER = re.compile(r"[-+]?\d")
_CJK = re.compile(f"[{CJK}]")
# A space that may be left out: one that does not stand between two digits.
_SPACE = re.compile(r"(?<!\d) | (?!\d)")


class Phrase(NamedTuple):
    """A normalised short text.

    Attributes:
        tokens: Content words, numbers and signs in order, with `SEPARATOR` between the items of a list.
        joined: The tokens without spaces.
        spelled: The words in their original spelling, without spaces, so that "non-specific" and "nonspecific" are
            equal.
        is_ordered: Whether a word such as "to" makes the order of the others matter.
    """

    tokens: tuple[str, ...]
    joined: str
    spelled: str
    is_ordered: bool


@lru_cache(maxsize=4096)
def fold(word: str) -> str:
    """Return one spelling per word and number: for British and American, singular and plural, words and digits.

    Example:
        >>> fold("oesophageal"), fold("haemorrhages"), fold("metastases"), fold("third"), fold("1,200.50")
        ('esophagus', 'hemorrhage', 'metastasis', '3', '1200.5')
    """
    forms = word_forms()
    if _NUMBER.match(word):
        word = word.rstrip("stndrh")
        if _THOUSANDS.fullmatch(word):
            word = word.replace(",", "")
        return word.rstrip("0").rstrip(".") if "." in word[:-1] and "," not in word else word
    if word in forms:
        return forms[word]
    for pattern, form in _SPELLING:
        word = pattern.sub(form, word)
    word = forms.get(word, word)
    singular = _singular(word)
    return forms.get(singular, singular)


def _singular(word: str) -> str:
    if len(word) <= 3 or word[-1] != "s" or word[-2] in "sui":
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1]


def normalise(text: str) -> Phrase:
    """Normalise a short text into a `Phrase`.

    Example:
        >>> normalise("The 2nd (left) intercostal spaces").tokens
        ('2', 'left', 'intercostal', 'space')
    """
    return read_phrase(clean(text))


def read_phrase(cleaned: str) -> Phrase:
    """Normalise a text that `clean` has cleaned."""
    pieces = _TOKEN.findall(cleaned)
    words = [piece.casefold() for piece in pieces]
    tokens = _tokens(pieces, words) or tuple(word for word in words if word not in ",;|")
    roles = word_roles()
    function = roles["function"]
    spelled = [word for word in words if word not in function or word in _LETTERS]
    if spelled and spelled[0] == "a":
        del spelled[0]
    return Phrase(tokens, join(tokens), join(spelled), not roles["relation"].isdisjoint(words))


def join(words: Iterable[str]) -> str:
    """Join words without spaces, except between two numbers: "1 2" is not 12.

    Example:
        >>> join(["t", "9", "22"])
        't9 22'
    """
    text = " ".join(words)
    joined = text.replace(" ", "")
    return joined if joined.isalpha() else _SPACE.sub("", text)


def clean(text: str) -> str:
    """Reduce a text to what `normalise` distinguishes: plain text without brackets, possessives or degree signs.

    Example:
        >>> clean("**Allen's** test (30°)")
        'Allen test 30 degree'
    """
    text = plain(text)
    if not text.isascii():
        text = without_accents(text).translate(GREEK)
    # Most texts are letters and spaces alone, in which only "percent" and "twenty three" can be found.
    if text.replace(" ", "").isalpha():
        lower = text.casefold()
        if "cent" not in lower and "ty " not in lower:
            return _LIKELY.sub("", text)
    text = _BETWEEN.sub(r"\1-", _LIKELY.sub("", _ABOUT.sub("", text)))
    if "-" in text:
        text = _PREFIX.sub(r"\1", text)
    text = _TENS_AND_ONES.sub(_number, text)
    return " ".join(_CLEAN.sub(_cleaned, text).split()) if _CLEAN.search(text) else text


def _number(match: re.Match[str]) -> str:
    """Return "twenty-three" in digits."""
    return str(sum(int(fold(word.casefold())) for word in match.groups()))


def _cleaned(match: re.Match[str]) -> str:
    found = match[0].strip().casefold()
    if found.startswith("-"):
        # "B-12", or a dash between two items
        return "" if found == match[0] else f" {SEPARATOR} "
    return _CLEANED.get(found, "%")


def _tokens(pieces: list[str], words: list[str]) -> tuple[str, ...]:
    """Return the folded content words of a text; one separator between two items of a list, and none at either end.

    Args:
        pieces: The words, numbers and signs of the text.
        words: The same in lower case.
    """
    roles = word_roles()
    function, carries = roles["function"], roles["carries_letter"]
    tokens: list[str] = []
    before, before_is_content = "", False
    for piece, word in zip(pieces, words, strict=True):
        if word in _SEPARATORS:
            if tokens and tokens[-1] != SEPARATOR:
                tokens.append(SEPARATOR)
            before, before_is_content = SEPARATOR, True
            continue
        is_letter = word in _LETTERS and (
            before in carries or (before_is_content and piece.isupper()) or _CJK.match(before) is not None
        )
        is_content = is_letter or word not in function
        if is_content and before in carries and word in _ROMAN:
            tokens.append(_ROMAN[word])
        elif word == "second" and _NUMBER.match(before):
            tokens.append("sec")
        elif is_content:
            tokens += _folded(word)
        before, before_is_content = word, is_content
    if tokens and tokens[-1] == SEPARATOR:
        tokens.pop()
    return tuple(tokens)


@lru_cache(maxsize=16384)
def _folded(word: str) -> tuple[str, ...]:
    """Return a word, or the words that it abbreviates, in the spelling of `fold`."""
    shorts = abbreviations()
    return tuple(map(fold, (shorts.get(word) or shorts.get(word.removesuffix("s")) or word).split()))


@lru_cache(maxsize=16)
def folded_role(role: str) -> frozenset[str]:
    """Return the words of a role in `word_roles.csv`, folded.

    Example:
        >>> "syndrome" in folded_role("class")
        True
    """
    return frozenset(map(fold, word_roles()[role]))
