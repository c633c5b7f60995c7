"""What rules decide before a judge is asked."""

import re
from collections.abc import Iterable
from functools import lru_cache

from reward_score.aliases import aliases
from reward_score.normalise import clean, normalise
from reward_score.passage import gold_words
from reward_score.text import plain
from reward_score.word_lists import refusal_words, word_roles

# An answer may have this many times the characters of the reference, and as many more as a sentence around a term has.
# A longer one has room to list many diagnoses, or to instruct the judge.
MAX_RATIO = 3
FREE_CHARACTERS = 100

_WORD = re.compile(r"[^\W_]+")


def decided_by_rule(
    answer: str, gold: str, more_aliases: Iterable[str], is_accepted: bool, when: str = "undecided"
) -> tuple[bool, str] | None:
    """Return whether an answer is right and why, where rules decide that; None where a judge is to be asked.

    The judge is asked about what the scorer refuses, and about what it accepts for anything but equality; with `when`
    "always" also about equal answers. What `refused` refuses, and references of signs only, are never shown to it.

    Args:
        answer: The answer.
        gold: The reference.
        more_aliases: The row's wordings that count as the reference.
        is_accepted: Whether the scorer of open-ended answers accepts it.
        when: `JudgeSettings.when`.

    Example:
        >>> decided_by_rule("Heart attack", "Myocardial infarction", (), False)
        >>> decided_by_rule("Infarction or angina", "Myocardial infarction", (), False)
        (False, "'or' is a hedge")
        >>> decided_by_rule("Angina", "Angina", (), True, "always")
    """
    if not gold_words(gold).total:
        return is_accepted, "a reference of signs only"
    if when != "always" and is_accepted and equals(answer, gold, more_aliases):
        return True, "equal"
    reason = refused(answer, gold, more_aliases)
    return (False, reason) if reason else None


def equals(answer: str, gold: str, more_aliases: Iterable[str] = ()) -> bool:
    """Return whether an answer is the reference, or another wording that counts as it, after normalisation.

    Args:
        answer: The answer.
        gold: The reference; the wordings that it states itself (`reward_score.aliases`) count as it.
        more_aliases: The row's wordings that count as the reference.

    Example:
        >>> equals("the Guillain-Barré syndromes", "Guillain Barre syndrome"), equals("GBS or botulism", "GBS")
        (True, False)
    """
    said = normalise(answer).joined
    return said in {normalise(text).joined for text in (gold, *aliases(gold), *more_aliases)} - {""}


def refused(answer: str, gold: str, more_aliases: Iterable[str] = ()) -> str:
    """Return why an answer is wrong whatever a judge would say, and "" if it isn't.

    Example:
        >>> refused("Thus: the", "GBS"), refused("GBS or botulism", "GBS")
        ('no content word', "'or' is a hedge")
    """
    if lacks_content(answer):
        return "no content word"
    if "?" in answer and "?" not in gold:
        return "'?' is a hedge"
    stated = _hedges(" ".join((gold, *more_aliases)))
    for hedge in _hedges(answer):
        if hedge not in stated:
            return f"{hedge!r} is a hedge"
    if len(plain(answer)) > MAX_RATIO * len(gold) + FREE_CHARACTERS:
        return f"more than {MAX_RATIO} times as long as the reference"
    return ""


def lacks_content(text: str) -> bool:
    """Return whether a text has only function words and usual openings of answers, or no word at all.

    Example:
        >>> lacks_content("The answer is:"), lacks_content("It is 5")
        (True, False)
    """
    roles = word_roles()
    return all(word in roles["function"] or word in roles["lead"] for word in _WORD.findall(clean(text).casefold()))


def _hedges(text: str) -> list[str]:
    return _hedge_pattern().findall(clean(text).casefold())


@lru_cache(maxsize=1)
def _hedge_pattern() -> re.Pattern[str]:
    words = [words for words, cause in refusal_words().items() if cause == "hedge"]
    # The longest first: "and or" before "or".
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(words, key=len, reverse=True)))})\b")
