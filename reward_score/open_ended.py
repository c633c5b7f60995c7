"""Open-ended answers: equality for short references, word overlap for passages."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from reward_score.passage import MOST_SIMILAR, gold_words, judge_passage, overlap, read_words
from reward_score.short_answer import compare_short
from reward_score.text import unicode_plain
from reward_score.verdict import Verdict, right, wrong

# References with at most this many content words are short, verifiable answers.
SHORT_WORDS = 10
# A reference made only of these marks a missing answer.
_PLACEHOLDER = "-.,;:!?*_~'\""


def judge_open_ended(answer: str, gold: str, spec: Mapping[str, Any]) -> Verdict:
    """Judge a short answer by equality after normalisation, and a passage by word overlap (`judge_passage`).

    A reference of at most `SHORT_WORDS` content words is short. An answer equals it if both are the same after
    normalisation of spelling, plurals, hyphens, accents, Greek letters, Roman numerals, numbers in words, units,
    articles, abbreviations and brackets. One of the two may have an extra class word ("syndrome", "infection", or the
    noun that the question asks for: "Which artery ...?"). Word order is ignored unless it carries meaning. Any other
    extra or missing word makes the answer wrong.
    A denial or a hedge (not, avoid, or, possibly), an opposite, or another number, letter or Roman numeral gives
    similarity 0. The similarity of any other wrong answer is its F1, at most `MOST_SIMILAR`.
    References of signs only must match exactly.
    If the row has a `checklist` whose items all have a rule, they decide in place of the reference
    (`reward_score.checklist`).

    Not recognised: synonyms, brand names, paraphrases. They need a judge, or `aliases`.

    Args:
        answer: The extracted answer.
        gold: The reference.
        spec: All optional: `checklist`, `question` (text), `aliases` (texts that count as the reference), `threshold`
            in (0, 1] for passages.

    Raises:
        ValueError: The reference is empty or only punctuation, such as a dash in place of an answer; `aliases` is
            not a list of texts, or `checklist` is invalid.

    Example:
        >>> judge_open_ended("Guillain-Barré", "Guillain Barre syndrome", {}).correct
        True
        >>> judge_open_ended("GBS or botulism", "Guillain Barre syndrome", {}).reason
        "'or' is a hedge"
    """
    if items := spec.get("checklist"):
        from reward_score.checklist import judge_by_rules, read_checklist  # needs pydantic

        checklist = read_checklist(items)
        if all(item.has_rule for item in checklist):
            return judge_by_rules(answer, gold, checklist)
    reference = gold_words(gold)
    aliases = read_aliases(spec.get("aliases"))
    if not reference.total:
        return _judge_signs(answer, gold)
    if len(answer) > 20 * len(gold) + 1000:
        return wrong(answer[:1000], "far longer than the reference")
    if is_passage(gold):
        return judge_passage(answer, gold, spec)
    question = spec.get("question")
    question = question if isinstance(question, str) else ""
    return _judge_short(answer, gold, question, aliases)


def is_passage(gold: str) -> bool:
    """Return whether a reference has more than `SHORT_WORDS` content words, so that word overlap decides."""
    return gold_words(gold).total > SHORT_WORDS


# Cached: the answers of a group are often the same.
@lru_cache(maxsize=4096)
def _judge_short(answer: str, gold: str, question: str, aliases: tuple[str, ...]) -> Verdict:
    is_equal, reason, is_cause = compare_short(answer, gold, question, aliases)
    words = read_words(answer)
    if is_equal or is_cause:
        return (right if is_equal else wrong)(words.said, reason)
    precision, recall = overlap(words, gold_words(gold), question)
    f1 = 2 * precision * recall / (precision + recall) if recall else 0.0
    return Verdict(False, min(MOST_SIMILAR, f1), words.said, reason)


def read_aliases(given: Any) -> tuple[str, ...]:
    """Return a row's accepted wordings, given as a list, tuple or array; () if None or empty.

    Raises:
        ValueError: The value is something else, or one of the wordings is not a text.
    """
    if given is None:
        return ()
    if isinstance(given, (str, Mapping)) or not isinstance(given, Iterable):
        raise ValueError(f"aliases must be a list of texts, not {str(given)[:80]!r}")
    texts = tuple(given)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"aliases must be a list of texts, not {str(given)[:80]!r}")
    return tuple(text for text in texts if text.strip())


def _judge_signs(answer: str, gold: str) -> Verdict:
    """Judge by a reference without any word or number, such as a row of brackets: equal except for spaces."""
    wanted = "".join(unicode_plain(gold).split())
    if not wanted:
        raise ValueError("ground_truth is empty")
    if not wanted.strip(_PLACEHOLDER):
        raise ValueError(f"ground_truth {wanted[:80]!r} is punctuation alone, and no answer")
    if len(answer) > 2 * len(gold) + 1000:
        return wrong(answer, "far longer than the reference")
    said = "".join(unicode_plain(answer).split())
    return right(said, "equal") if said == wanted else wrong(said, "not equal")
