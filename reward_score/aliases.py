"""Alternative wordings of a reference that can be derived from the reference itself."""

import re
from functools import lru_cache
from itertools import pairwise

from reward_score.normalise import clean, fold
from reward_score.refusals import is_polar
from reward_score.text import any_of, plain
from reward_score.word_lists import word_roles

# A bracket; one with a number belongs to the statement: "f(-1) is 9".
BRACKET = re.compile(r"\s*[(\[](?![^()\[\]]*(?<![A-Za-z])\d)([^()\[\]]{1,200})[)\]]")
_ALSO_KNOWN = re.compile(
    r"\s*[,;(\[]?\s*\b(?:also\s+(?:known|called|termed|named)(?:\s+as)?|aka|a\.k\.a\.|i\.\s?e\.,?|synonym:?)\s+",
    re.IGNORECASE,
)
_LABEL = re.compile(r"(?:^|(?<=\bis )|(?<=\bis: ))(?:[A-J]\.\s+|\([A-J]\)\s*)(?=\w{2,})")
# What ends a subject; a verb with a meaning of its own stays in the predicate.
_FORMS_OF_BE = ("is", "are", "was", "were", "will be", "would be", "has been")
_VERBS = tuple("remain remains stay stays become becomes occur occurs arise arises apply applies".split())
SUBJECT_ENDS = (*_FORMS_OF_BE, *_VERBS)
_COPULA = re.compile(
    rf"\b(?:(?:{any_of(_FORMS_OF_BE)})\b[:\s]+|(?:will\s+)?(?=(?:{any_of(_VERBS)})\b))",
    re.IGNORECASE,
)
# "S. aureus": a genus abbreviated to its first letter.
_GENUS = re.compile(r"\b([A-Z])(?:\.\s*|\s+)([a-z]{4,})\b")
_TWO_CAPITALS = re.compile(r"[A-Z][A-Za-z0-9]*[A-Z]")
# An abbreviation that the reference gives after the words: "acetylcholine (ACh)".
_CAPITALS = re.compile(r"(?!(?:IV|IM|PO|SC|[IVX]+)$)(?=(?:.*[A-Z]){2})[A-Za-z][A-Za-z0-9-]{1,6}")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*")
# Endings of words that describe rather than name.
_LIKE = ("ed", "ing", "ly", "ous", "al", "ic", "ive", "able", "ary", "ent", "ant")
_PURPOSE = re.compile(r"^(.{4,}?),?\s+(?:in\s+order\s+)?to\s+([a-z]+)\b", re.IGNORECASE)


def aliases(gold: str) -> tuple[str, ...]:
    """Return the wordings that a reference itself states: without its bracket, abbreviated, or after "also known as".

    An abbreviation counts if its letters are the initials of the words before (or after) it. Another name counts if it
    is a single noun of at least six letters in a bracket at the end.

    Args:
        gold: The reference.

    Returns:
        The alternative wordings without duplicates, and without the reference itself.

    Example:
        >>> aliases("Transposition of the great arteries (TGA)")
        ('Transposition of the great arteries', 'TGA')
        >>> aliases("Atrioventricular (AV) node")
        ('Atrioventricular node', 'AV node')
    """
    gold = plain(gold)
    found: list[str] = []
    name, *others = _ALSO_KNOWN.split(gold)
    if others and name.strip():
        found += [name, *(other.rstrip(")]. ") for other in others)]
    if _LABEL.search(gold):
        found.append(_LABEL.sub("", gold))
    for bracket in BRACKET.finditer(name):
        before, inside, after = name[: bracket.start()], bracket[1].strip(), name[bracket.end() :]
        if len(inside) == 1 or not before.strip():
            continue
        found.append(before + after)
        run = abbreviated_words(inside, before)
        if run:
            found.append(before[: len(before.rstrip()) - len(run)] + inside + after)
        elif abbreviated_words(before.strip(), inside) == inside or (
            not after.strip(" .") and (_is_other_name(inside) or _CAPITALS.fullmatch(inside))
        ):
            found.append(inside + after)
    texts = [" ".join(text.split()).strip(" ,;") for text in found]
    return tuple(text for place, text in enumerate(texts) if text and text != gold and text not in texts[:place])


def abbreviated_words(short: str, text: str) -> str:
    """Return the words at the end of a text that an abbreviation stands for; "" if there are none.

    The abbreviation has the initials of the words, with or without those of function words, or of the parts of one
    long word ("AV" for "atrioventricular").

    Example:
        >>> abbreviated_words("GBS", "treated Guillain-Barré syndrome")
        'Guillain-Barre syndrome'
    """
    letters = "".join(_WORD.findall(short)).casefold()
    if not 2 <= len(letters) <= 7 or len(short) > 9 or not any(letter.isupper() for letter in short):
        return ""
    text = clean(text).rstrip()
    words = list(_WORD.finditer(text))
    little = word_roles()["function"]
    # "Transposition of the great arteries (TGA)": use a run that begins with a function word only if no other fits.
    runs = [words[start:] for start in range(max(0, len(words) - len(letters) - 3), len(words))]
    for run in sorted(runs, key=lambda run: run[0][0].casefold() in little):
        if letters in _initials(tuple(word[0] for word in run)):
            return text[run[0].start() :]
    return ""


# First parts of compound words; the next letter goes into the abbreviation: "postpartum" is PP. Of the vowels only an
# "o" joins two words: with any of them "deficiency" would be DC.
_PREFIX = re.compile(
    r"post|hyper|inter|sub|trans|per|anti|semi|multi|poly|intra|extra|ultra|para|supra|infra|meta|[a-z]{3,}o"
)


@lru_cache(maxsize=4096)
def _initials(words: tuple[str, ...]) -> frozenset[str]:
    """Return the possible abbreviations of some words: their initials, with or without those of function words.

    A long word may give two letters: AV for "atrioventricular", NG for "nasogastric".
    """
    if not words or len(words) > 10:
        return frozenset()
    little = word_roles()["function"]
    found = {""}
    for word in map(str.casefold, words):
        ways = {word[0]}
        if len(word) >= 9:
            ways |= {word[0] + word[place] for place in range(3, len(word) - 3) if _PREFIX.fullmatch(word[:place])}
        if word in little:
            ways.add("")
        found = {begin + way for begin in found for way in ways if len(begin) < 8}
    return frozenset(found)


def has_abbreviation(text: str) -> bool:
    """Return whether a text may have an abbreviation: a word with two capitals, or a genus by its first letter."""
    return _TWO_CAPITALS.search(text) is not None or _GENUS.search(text) is not None


def expanded(text: str, other: str) -> str:
    """Replace each abbreviation in a text with the words of another text that it stands for.

    Example:
        >>> expanded("Right ACA", "The right anterior cerebral artery")
        'Right anterior cerebral artery'
    """
    if not has_abbreviation(text):
        return text
    source = clean(other)
    words = list(_WORD.finditer(source))
    names = {(one[0][0].casefold(), two[0].casefold()): one[0] for one, two in pairwise(words) if len(one[0]) > 3}

    def name(found: re.Match[str]) -> str:
        return f"{names.get((found[1].casefold(), found[2].casefold()), found[1])} {found[2]}"

    def replace(found: re.Match[str]) -> str:
        short = found[0].removesuffix("s") if found[0][:-1].isupper() else found[0]
        letters = short.casefold()
        if sum(map(str.isupper, short)) < 2 or not 2 <= len(letters) <= 7:
            return found[0]
        if len(words) == 1:
            return found[0]  # two letters of the only word are no name: HT is not hypothyroidism
        for start, first in enumerate(words):
            if first[0][0].casefold() != letters[0]:
                continue
            for end in range(min(len(words), start + len(letters) + 3), start, -1):
                run = tuple(word[0] for word in words[start:end])
                # "MS, sarcoidosis" has the initials of MS, and does not write it out.
                if letters in _initials(run) and letters not in map(str.casefold, run):
                    return source[first.start() : words[end - 1].end()]
        return found[0]

    return _WORD.sub(replace, _GENUS.sub(name, text))


def shorter_forms(gold: str, question_words: frozenset[str]) -> tuple[str, ...]:
    """Return a reference without the parts that only repeat the question: without its subject, without its purpose.

    Example:
        >>> shorter_forms("The instrument is dull", frozenset({"instrument"}))
        ('dull',)
    """
    found = []
    predicate = without_subject(gold, question_words)
    if predicate:
        found.append(predicate)
    purpose = _PURPOSE.match(gold)
    if purpose and purpose[2].casefold() in word_roles()["purpose"]:
        found.append(purpose[1])
    return tuple(found)


def without_subject(text: str, question_words: frozenset[str]) -> str:
    """Return the predicate of a sentence if its subject adds nothing, else "".

    A subject adds nothing if it is a usual opening of answers ("the most likely diagnosis is"), or if it repeats the
    question and the predicate does not: in "the peaches are the most expensive" the peaches are the answer.
    """
    copula = _COPULA.search(text)
    subject = text[: copula.start()] if copula else ""
    if not copula or not subject.strip():
        return ""
    predicate = text[copula.end() :]
    is_topic = is_said(subject, question_words) and not is_said(predicate, question_words)
    return predicate if is_topic or is_said(subject, frozenset()) else ""


def is_said(text: str, question_words: frozenset[str]) -> bool:
    """Return whether a text has only words of the question, function words, class words and usual openings."""
    if any(map(str.isdigit, text)):
        return False  # a number may be what the answer is about
    roles = word_roles()
    words = [word.casefold() for word in _WORD.findall(text)]
    return all(
        word in roles["function"] or word in roles["lead"] or fold(word) in question_words or word in roles["class"]
        for word in words
    )


def _is_other_name(text: str) -> bool:
    word = text.casefold()
    is_noun = len(word) >= 6 and word.isalpha() and not word.endswith(_LIKE)
    return is_noun and not is_polar(fold(word)) and not any(word in words for words in word_roles().values())
