"""The rule for open-ended answers in Med-U1's release, restated from what its code does; none of that code is here.

An answer passes if 0.5 EMS + 0.5 BLEU > 45. EMS is 100 times the number of different words of the answer that stand in
the reference over the number of all words of the answer. BLEU, between 0 and 1, is the mean of sentence BLEU with
1-grams, up to 2-grams and up to 3-grams. Words are normalised as the VQA benchmark does: in lower case, punctuation and
articles removed, number words as digits.
"""

import math
import re
from collections import Counter

_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_ARTICLES = frozenset({"a", "an", "the"})
_NUMBERS = {word: str(value) for value, word in enumerate("zero one two three four five six seven eight".split())}
_NUMBERS |= {"none": "0", "nine": "9", "ten": "10"}


def _words(text: str) -> list[str]:
    # A mark is dropped where it stands beside a space anywhere in the text, or the text has 1,000; else it is a space.
    spaced = "" if re.search(r"\d,\d", text) else " "
    plain = text
    for mark in _MARKS:
        plain = plain.replace(mark, "" if f"{mark} " in text or f" {mark}" in text else spaced)
    words = re.sub(r"(?<!\d)\.(?!\d)", "", plain).lower().split()
    return [_NUMBERS.get(word, word) for word in words if word not in _ARTICLES]


def _bleu(answer: list[str], reference: list[str], order: int) -> float:
    """Sentence BLEU with smoothing: n-grams of which none is matched count as a tenth of a match."""
    logs = []
    for n in range(1, order + 1):
        found, wanted = (Counter(zip(*(words[i:] for i in range(n)), strict=False)) for words in (answer, reference))
        logs.append(math.log((sum((found & wanted).values()) or 0.1) / max(1, sum(found.values()))))
    return math.exp(min(0.0, 1 - len(reference) / len(answer)) + sum(logs) / order)


def passes(answer: str, reference: str) -> bool:
    """Whether the release takes the answer for right.

    Example:
        >>> passes("is", "It is a mitral stenosis."), passes("a mitral stenosis, I think", "Mitral stenosis")
        (True, False)
    """
    said, wanted = _words(answer), _words(reference)
    if not said:
        return False
    ems = 100 * len(set(said) & set(wanted)) / len(said)
    return 0.5 * ems + 0.5 * sum(_bleu(said, wanted, order) for order in (1, 2, 3)) / 3 > 45
