"""Open-ended answers: token F1 against a reference, with guards against negation and opposites.

Why F1 and not precision, as published: by precision the word "is" passes for 79.8 % of 1000 references. Why not
ROUGE-L: it orders such answers alike, but marks a right answer down for naming findings in another order.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from reward_score.text import unicode_plain
from reward_score.verdict import Verdict, right, wrong

# References with at most this many content words are short, verifiable answers.
SHORT_WORDS = 10
# Where a data source sets none.
THRESHOLD = 0.5
SHORT_THRESHOLD = 0.8
SHORT_RECALL = 0.9
# So many words of the question's beginning are a copy of it, where they are nearly all that is answered.
COPIED_WORDS = 8
# A negation reaches this many content words, or to the end of the clause.
NEGATION_REACH = 3

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
# Words come first: most tokens are, and each alternative before theirs is tried for each of them.
_ASCII_TOKEN = re.compile(r"[a-z][a-z0-9]*|\d+(?:[.,]\d+)*|(?<![\w)])[-+]\d+(?:[.,]\d+)*|[<>%/+.;:!?,]")
_TOKEN = re.compile(
    rf"(?<![\w)])[-+]\d+(?:[.,]\d+)*|\d+(?:[.,]\d+)*|[{_CJK}]|(?:(?![{_CJK}])[^\W\d_])(?:(?![{_CJK}])[^\W_])*"
    r"|[<>\u2264\u2265%\u00b0\u00b1/+]|[.;:!?,\u3001\u3002]"
)
_COMBINING = re.compile("[\u0300-\u036f]")
_CLAUSE_END = frozenset(".;:!?,\u3001\u3002") | {"but"}
# A reference of these alone stands where an answer is missing.
_PLACEHOLDER = "-.,;:!?*_~'\""
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")

_GREEK = str.maketrans({"\u03b1": "alpha", "\u03b2": "beta", "\u03b3": "gamma", "\u03b4": "delta", "\u03ba": "kappa"})


class _Folded(dict[str, str]):
    """Words and numbers in one spelling, remembered; on the hot path a dict is quicker than an lru_cache."""

    def __missing__(self, token: str) -> str:
        if len(self) >= 1 << 14:
            self.clear()
        folded = self[token] = _fold(token)
        return folded


def _fold(token: str) -> str:
    """One spelling per word and number: no plural s, no thousands separators, no trailing zeros."""
    if token[-1] == "s" and len(token) > 3 and token[-2] not in "sui":
        return token[:-1]
    if "," not in token and "." not in token:
        return token
    if _THOUSANDS.fullmatch(token):
        token = token.replace(",", "")
    return token.rstrip("0").rstrip(".") if "." in token[:-1] and "," not in token else token


_FOLDED = _Folded()


def _folded(words: str) -> frozenset[str]:
    return frozenset(map(_fold, words.split()))


_NEGATIONS = _folded(
    """not no never none neither nor without cannot non absent absence denies lacks lack
    \u4e0d \u65e0 \u6ca1 \u975e \u672a"""
)
# Words that carry no finding: function words, and what answers are wrapped in.
_STOP_WORDS = _folded(
    """a an the of is are was were be been being am it its this that these those there here and or as at by for
    from in into on onto to with which who whom whose what when where do does did has have had he she they them
    his her their we you i me my your our will would can could may might shall should s t also both such than
    then so if thus hence therefore very due answer correct option choice most likely probable probably
    diagnosis patient patients condition case based given final indicates suggests called known termed"""
)
_WITHOUT_CONTENT = _STOP_WORDS | _CLAUSE_END
# Left out of an answer's canonical form, which keeps the letter of "vitamin A".
_UNSAID = _WITHOUT_CONTENT - set("aist")
# The words of a text with their case, and the punctuation that a letter's meaning depends on.
_PIECE = re.compile(rf"[{_CJK}]|(?:(?![{_CJK}])\w)+(?:'\w*)?|[.:;!?,()\[\]]")
# A letter or Roman numeral that tells one type, group or vitamin from another.
_LETTER = re.compile(r"[a-z]|(?=..)x{0,2}(?:ix|iv|v?i{0,3})")
_OPPOSITES = (
    "left right", "increase decrease", "increases decreases", "increased decreased", "increasing decreasing",
    "high low", "higher lower", "elevated reduced", "positive negative", "benign malignant", "acute chronic",
    "upper lower", "superior inferior", "anterior posterior", "medial lateral", "proximal distal", "before after",
    "yes no", "true false", "valid invalid", "present absent", "agonist antagonist", "alkalosis acidosis",
    "systolic diastolic", "dominant recessive", "male female", "arterial venous", "maximum minimum",
    "contraindicated indicated",
)  # fmt: skip


def _opposite_words() -> dict[str, set[str]]:
    table: dict[str, set[str]] = {}
    for pair in _OPPOSITES:
        one, other = map(_fold, pair.split())
        table.setdefault(one, set()).add(other)
        table.setdefault(other, set()).add(one)
    return table


_OPPOSITE = _opposite_words()


@dataclass(frozen=True, slots=True)
class Words:
    """A text as the scorer sees it.

    Attributes:
        counts: Content words, numbers, signs and CJK characters, with how often each occurs.
        total: How many there are.
        negated: Those that stand only in reach of a negation.
        affirmed: Those that never do.
        said: The text in one canonical form, so that texts that differ in dress alone are equal.
    """

    counts: Counter[str]
    total: int
    negated: frozenset[str]
    affirmed: frozenset[str]
    said: str

    @property
    def numbers(self) -> frozenset[str]:
        """The numbers."""
        return frozenset(token for token in self.counts if token[-1].isdigit() and not token[0].isalpha())

    @property
    def has_negation(self) -> bool:
        """Whether there is a negation at all."""
        return not _NEGATIONS.isdisjoint(self.counts)


def judge_open_ended(answer: str, gold: str, spec: Mapping[str, Any]) -> Verdict:
    """Judges free text by F1 = 2 |A ∩ G| / (|A| + |G|) over multisets of content words.

    Text is compared in NFKC, case folded, without accents, plural s and function words, with numbers, `<`, `%`, signs
    and units kept, Greek letters by name, and CJK by character. Repeating a word gains nothing, and what the
    reference lacks costs precision.
    Where the question is known, both overlaps are also taken over the words that it lacks, and the smaller ones
    count: copying the question is worth nothing. Nor is its beginning worth anything, where the question shows the
    answer (as an option).
    Long references pass if F1 and recall reach `threshold`. Short ones (at most `SHORT_WORDS` content words) pass at
    `short_threshold` if recall is at least `SHORT_RECALL`, the numbers are the same, and both or neither negate. The
    single letters and Roman numerals of a short reference (vitamin A, type II) must be the answer's too, and if it has
    any, the answer has no others.
    A contradiction is wrong and has similarity 0: a shared word negated in one text only, or a word whose opposite
    the reference has (left/right, hypo-/hyper-, ...). References of signs only must be met exactly.

    Not seen: word order, a wrong number in a long text, synonyms, a letter for an option's text. Synonyms and
    paraphrases with few common words are false negatives.

    Args:
        answer: The extracted answer.
        gold: The reference.
        spec: All optional: `question` (text), `threshold` and `short_threshold` in (0, 1].

    Raises:
        ValueError: The reference is empty, or punctuation alone, as a dash or dots in place of an answer.

    Example:
        >>> judge_open_ended("It is benign.", "It is not benign.", {}).correct
        False
    """
    reference = _gold_words(gold)
    if not reference.total:
        return _judge_signs(answer, gold)
    if len(answer) > 20 * len(gold) + 1000:
        return wrong(answer, "far longer than the reference")
    words = read_words(answer)
    contradiction = _contradiction(words, reference)
    if contradiction:
        return wrong(words.said, contradiction)

    precision, recall = _overlap(words.counts, reference.counts)
    question = spec.get("question")
    if recall and isinstance(question, str):
        novel = _novel_overlap(words.counts, reference.counts, _gold_words(question).counts)
        precision, recall = min(precision, novel[0]), min(recall, novel[1])
    f1 = 2 * precision * recall / (precision + recall) if recall else 0.0
    is_short = reference.total <= SHORT_WORDS
    threshold = spec.get("short_threshold", SHORT_THRESHOLD) if is_short else spec.get("threshold", THRESHOLD)
    if f1 < threshold or recall < threshold:
        return Verdict(False, f1, words.said, f"F1 {f1:.2f}, recall {recall:.2f}, threshold {threshold:.2f}")
    refusal = _short_refusal(words, reference, recall) or _letter_refusal(answer, gold) if is_short else ""
    if isinstance(question, str) and _is_copied_beginning(answer, question, gold):
        refusal = "the beginning of the question"
    reason = refusal or f"F1 {f1:.2f}, recall {recall:.2f}, threshold {threshold:.2f}"
    return Verdict(not refusal, f1, words.said, reason)


def _overlap(words: Mapping[str, int], reference: Mapping[str, int]) -> tuple[float, float]:
    """Precision and recall of one multiset against another."""
    # On the hot path: a list and a comparison take half the time of a generator and min().
    shared = [(count, reference[word]) for word, count in words.items() if word in reference]
    common = sum([one if one < other else other for one, other in shared])
    return (common / sum(words.values()), common / sum(reference.values())) if common else (0.0, 0.0)


def _novel_overlap(words: Counter[str], reference: Counter[str], question: Counter[str]) -> tuple[float, float]:
    """Precision and recall over the words that the question lacks.

    Where the reference has no such word, over what it repeats more often than the question does; 1.0 if that is
    nothing, so that the answer must stand by its overlap with the reference alone.
    """
    novel_reference = {word: count for word, count in reference.items() if word not in question}
    if novel_reference:
        return _overlap({word: count for word, count in words.items() if word not in question}, novel_reference)
    repeated = reference - question
    return _overlap(words - question, repeated) if repeated else (1.0, 1.0)


def read_words(text: str) -> Words:
    """Reads a text into `Words`; a text of function words only keeps them.

    Example:
        >>> sorted(read_words("The dose is < 5 mg").counts)
        ['5', '<', 'dose', 'mg']
    """
    tokens = _tokens(text)
    content = [token for token in tokens if token not in _WITHOUT_CONTENT]
    if not content:
        content = [token for token in tokens if token not in _CLAUSE_END]
    counts = Counter(content)
    negated, affirmed = _split_by_negation(tokens, counts)
    said = " ".join([token for token in tokens if token not in _UNSAID] or content)
    return Words(counts=counts, total=len(content), negated=negated, affirmed=affirmed, said=said)


def _split_by_negation(tokens: list[str], counts: Counter[str]) -> tuple[frozenset[str], frozenset[str]]:
    """The content words that stand only in reach of a negation, and those that never do."""
    if _NEGATIONS.isdisjoint(tokens):
        return frozenset(), frozenset(counts)
    negated: set[str] = set()
    affirmed: set[str] = set()
    reach = 0
    for token in tokens:
        if token in _NEGATIONS:
            reach = NEGATION_REACH
        elif token in _CLAUSE_END:
            reach = 0
        elif token in counts:
            (negated if reach else affirmed).add(token)
            reach -= reach > 0
    return frozenset(negated - affirmed), frozenset(affirmed - negated)


@lru_cache(maxsize=1024)
def _gold_words(gold: str) -> Words:
    return read_words(gold)


def _tokens(text: str) -> list[str]:
    if text.isascii():
        pattern = _ASCII_TOKEN
    else:
        pattern = _TOKEN
        text = _without_accents(unicode_plain(text)).translate(_GREEK)
    text = text.casefold().replace("n't", " not").replace(" percent", "%")
    text = text.replace("<=", "\u2264").replace(">=", "\u2265")
    if "\u2264" in text or "\u2265" in text:
        pattern = _TOKEN
    return list(map(_FOLDED.__getitem__, pattern.findall(text)))


def _without_accents(text: str) -> str:
    return unicodedata.normalize("NFC", _COMBINING.sub("", unicodedata.normalize("NFD", text)))


def _contradiction(words: Words, reference: Words) -> str:
    flipped = (words.negated & reference.affirmed) | (words.affirmed & reference.negated)
    if flipped:
        return f"negation of {min(flipped)!r} differs"
    for word in words.counts:
        if word in reference.counts:
            continue
        for opposite in _opposites_of(word):
            if opposite in reference.counts and opposite not in words.counts:
                return f"{word!r} for {opposite!r}"
    return ""


def _opposites_of(word: str) -> set[str]:
    if word.startswith("hyper"):
        return {"hypo" + word[5:]}
    if word.startswith("hypo"):
        return {"hyper" + word[4:]}
    return _OPPOSITE.get(word, set())


def _short_refusal(words: Words, reference: Words, recall: float) -> str:
    if recall < SHORT_RECALL:
        return "a part of the short reference is missing"
    if words.numbers != reference.numbers:
        return "another number than in the short reference"
    if words.has_negation != reference.has_negation:
        return "a negation in one of the two only"
    return ""


def _letter_refusal(answer: str, gold: str) -> str:
    (stated, maybe_stated), (wanted, maybe_wanted) = _letters(answer), _letters(gold)
    if wanted and (wanted - maybe_stated or stated - maybe_wanted):
        return "another letter or Roman numeral than in the short reference"
    return ""


def _letters(text: str) -> tuple[set[str], set[str]]:
    """The single letters and Roman numerals that surely tell a type, and those that at least may.

    "a" and "i" behind anything but a content word are the article and the pronoun. Small `a i s t` may be function
    words anywhere, IV may mean intravenous, and a letter before a point or colon or behind a bracket may be an
    abbreviation ("S. aureus") or an option's label ("(B) one").

    Example:
        >>> sorted(_letters("A vitamin A deficiency")[0])
        ['a']
    """
    sure: set[str] = set()
    possible: set[str] = set()
    pieces = _PIECE.findall(unicode_plain(text))
    neighbours = zip(["", *pieces], pieces, [*pieces[1:], ""], [*pieces[2:], "", ""], strict=False)
    for before, piece, after, then in neighbours:
        letter = piece.casefold()
        if not _LETTER.fullmatch(letter):
            continue
        follows_content = before[-1:].isalnum() and _fold(before.casefold()) not in _STOP_WORDS
        is_listed = piece.isupper() and before in ("and", "or")
        if letter in "ai" and not follows_content and not is_listed:
            continue
        possible.add(letter)
        is_label_like = before in (".", "(") or (after in (".", ":") and then)
        if letter != "iv" and not is_label_like and (piece.isupper() or letter not in _STOP_WORDS):
            sure.add(letter)
    return sure, possible


def _is_copied_beginning(answer: str, question: str, gold: str) -> bool:
    """Whether an answer of some length is the question's first words, nine in ten at least, and not the reference."""
    # Most answers begin otherwise, and are not split any further.
    if _first_words(answer) != _first_words(question):
        return False
    words, asked_words = answer.casefold().split(), question.casefold().split()
    if words == gold.casefold().split():
        return False
    copied = 0
    for word, asked in zip(words, asked_words, strict=False):
        if word != asked:
            break
        copied += 1
    return copied >= COPIED_WORDS and copied >= 0.9 * len(words)


def _first_words(text: str) -> list[str]:
    return [word.casefold() for word in text.split(None, COPIED_WORDS)[:COPIED_WORDS]]


def _judge_signs(answer: str, gold: str) -> Verdict:
    """A reference without any word or number, such as a row of brackets: equal but for spaces."""
    wanted = "".join(unicode_plain(gold).split())
    if not wanted:
        raise ValueError("ground_truth is empty")
    if not wanted.strip(_PLACEHOLDER):
        raise ValueError(f"ground_truth {wanted[:80]!r} is punctuation alone, and no answer")
    if len(answer) > 2 * len(gold) + 1000:
        return wrong(answer, "far longer than the reference")
    said = "".join(unicode_plain(answer).split())
    return right(said, "equal") if said == wanted else wrong(said, "not equal")
