"""Normalises short answers: spelling, plurals, numbers, units, Greek letters, abbreviations."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from reward_score.text import CJK, GREEK, plain, without_accents
from reward_score.word_lists import abbreviations, word_forms, word_roles

# Separates the items of a list.
SEPARATOR = "|"

_TOKEN = re.compile(
    rf"\d+(?:st|nd|rd|th)\b|(?<![\w)])[-+]?\d+(?:[.,]\d+)*|\d+(?:[.,]\d+)*|[{CJK}]|(?:(?![{CJK}])[^\W\d_])(?:(?![{CJK}])[^\W_])*"
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
_NUMBER = re.compile(r"[-+]?\d")
_CJK = re.compile(f"[{CJK}]")
# A space that may be left out: one that does not stand between two digits.
_SPACE = re.compile(r"(?<!\d) | (?!\d)")


@dataclass(frozen=True, slots=True)
class Phrase:
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
    cleaned = clean(text)
    words, is_ordered = _words(cleaned)
    tokens = _without_outer_separators(words)
    return Phrase(tokens, join(tokens), _spelled(cleaned), is_ordered)


def join(words: Iterable[str]) -> str:
    """Join words without spaces, except between two numbers: "1 2" is not 12.

    Example:
        >>> join(["t", "9", "22"])
        't9 22'
    """
    return _SPACE.sub("", " ".join(words))


def _spelled(text: str) -> str:
    little = word_roles()["function"] - {"a", "i"}
    pieces = [piece for piece in _TOKEN.findall(text.casefold()) if piece not in little]
    return join(pieces[1:] if pieces[0] == "a" else pieces) if pieces else ""


def clean(text: str) -> str:
    """Reduce a text to what `normalise` distinguishes: plain text without brackets, possessives or degree signs.

    Example:
        >>> clean("**Allen's** test (30°)")
        'Allen test 30 degree'
    """
    text = plain(text)
    if not text.isascii():
        text = without_accents(text).translate(GREEK)
    text = _LIKELY.sub("", _ABOUT.sub("", text))
    text = _TENS_AND_ONES.sub(_number, _PREFIX.sub(r"\1", _BETWEEN.sub(r"\1-", text)))
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


def _words(text: str) -> tuple[list[str], bool]:
    """Return the folded content words of a cleaned text, and whether their order matters."""
    roles = word_roles()
    function, relation, carries = roles["function"], roles["relation"], roles["carries_letter"]
    shorts = abbreviations()
    words: list[str] = []
    is_ordered = False
    before, before_is_content = "", False
    for piece in _TOKEN.findall(text):
        word = piece.casefold()
        if word in ",;|" or word == "and":
            words.append(SEPARATOR)
            before, before_is_content = SEPARATOR, True
            continue
        is_numeral = before in carries and word in _ROMAN
        if word in relation:
            is_ordered = True
        if word in ("a", "i") and (
            is_numeral or before in carries or (piece.isupper() and before_is_content) or _CJK.match(before)
        ):
            words.append(_ROMAN[word] if word == "i" and is_numeral else word)
        elif word in function:
            before, before_is_content = word, False
            continue
        elif is_numeral:
            words.append(_ROMAN[word])
        elif word == "second" and _NUMBER.match(before):
            words.append("sec")
        elif word in shorts or (word[-1] == "s" and word[:-1] in shorts):
            words += [fold(part) for part in shorts.get(word, shorts.get(word[:-1], "")).split()]
        else:
            words.append(fold(word))
        before, before_is_content = word, True
    if not any(word != SEPARATOR for word in words):
        words = [piece.casefold() for piece in _TOKEN.findall(text) if piece not in ",;|"]
    return words, is_ordered


def _without_outer_separators(words: list[str]) -> tuple[str, ...]:
    """Return the words with at most one separator between two items, and none at either end."""
    tokens: list[str] = []
    for word in words:
        if word != SEPARATOR or (tokens and tokens[-1] != SEPARATOR):
            tokens.append(word)
    if tokens and tokens[-1] == SEPARATOR:
        tokens.pop()
    return tuple(tokens)
