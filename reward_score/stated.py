"""Parts of a short result other than its value: bounds and denials, and numbers in words."""

import re

from reward_score.text import is_question

# Bounds, denials, choices and factors are not values.
_NOT_A_VALUE = re.compile(
    r"[<>\u2264\u2265\u2260]|n't\b"
    r"|\b(?:not|never|cannot|neither|nor|no|wrong|incorrect|false|unlikely|excluded?|except|rather|instead|or|either|perhaps"
    r"|maybe|possibly|less|more|greater|fewer|below|above|under|over|between|before|after|later|earlier|exceed(?:s|ing)?"
    r"|maximum|minimum|maximal|minimal|max|min(?=\s+\d)|up\s+to|too|off\s+by|anything\s+but|other\s+than|opposite"
    r"|twice|thrice|double|triple|half\s+of|times)\b"
    r"|\bat\s+(?:the\s+)?(?:very\s+)?(?:least|most)\b"
    r"|\(\s*[x\u00d7*]\s*\d",
    re.IGNORECASE,
)
_ONES = dict(
    zip("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen".split(), range(20), strict=True)
)  # fmt: skip
_TENS = dict(zip("twenty thirty forty fifty sixty seventy eighty ninety".split(), range(20, 100, 10), strict=True))
_NUMBER_WORDS = re.compile(
    rf"\b(?:({'|'.join(_TENS)})(?:[\s-]+({'|'.join(list(_ONES)[1:10])}))?|({'|'.join(_ONES)}))\b", re.IGNORECASE
)


def is_no_value(text: str) -> bool:
    """Return whether a text states a bound, a denial or alternatives, or asks, rather than to state a value.

    Example:
        >>> is_no_value("up to 108"), is_no_value("108 mL/hr")
        (True, False)
    """
    return is_question(text) or _NOT_A_VALUE.search(text) is not None


def with_digits(text: str) -> str:
    """Replace number words with digits, if the text has no digits.

    Example:
        >>> with_digits("thirty-two weeks and three days")
        '32 weeks and 3 days'
    """
    if any(map(str.isdigit, text)):
        return text
    return _NUMBER_WORDS.sub(_digits, text)


def _digits(match: re.Match[str]) -> str:
    tens, ones, alone = (part.casefold() if part else "" for part in match.groups())
    return str(_ONES[alone] if alone else _TENS[tens] + _ONES.get(ones, 0))
