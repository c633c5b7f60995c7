"""Short answers: equal to the reference after normalisation, or refused."""

import re
from collections import Counter
from dataclasses import replace
from itertools import chain, filterfalse

from reward_score.aliases import BRACKET
from reward_score.normalise import SEPARATOR, Phrase, clean, folded_role, join, normalise, read_phrase
from reward_score.question import Question, read_question
from reward_score.readings import REASON, readings
from reward_score.reference import COMMA, is_by_target, read_reference
from reward_score.refusals import axes, contradiction, is_polar, opposite_words, stated_refusal
from reward_score.word_lists import word_roles

# What says that a drug is to be used, the opposite of what a question asks for that wants the one to stop or avoid.
_USED = re.compile(
    r"\b(?:start|begin|initiat|giv(?!en\s+(?:the|his|her|this)\b)|administ|continu|resum|restart|prescri|recommend|indicat|prefer|"
    r"need|requir|necessary|warrant|appropriat|receiv|proceed|of\s+choice|advis|safe|gold|help|tolerat|first|next\s+step|"
    r"best\b(?!\s+(?:answer|option))|(?:us|treat)(?:e|ed|es|ing)?\b|treatment\s+(?:is|with)\b|treatment\b.*\bis\b)",
    re.IGNORECASE,
)
_ANTIBODIES = frozenset(("antibody", "immunoglobulin"))
# A reference that contains a row of brackets, possibly among words.
_ROW_OF_BRACKETS = re.compile(r"[(\[{<]\s*[(\[{<\])}>]")
_NO_BRACKET = re.compile(r"[^()\[\]{}<>]")
# Says nothing of a side.
_RIGHT_ANSWER = re.compile(r"\bright\s+(?=(?:answer|option|choice)\b)", re.IGNORECASE)
# A text with more words than this, or without spaces between words, is compared in order.
_MOST_FREE_WORDS = 10
# One text may have at most this many extra words that the question has too.
_MOST_QUESTION_WORDS = 3


def compare_short(answer: str, gold: str, question: str, more_aliases: tuple[str, ...]) -> tuple[bool, str, bool]:
    """Compare an answer with a short reference.

    Args:
        answer: The answer.
        gold: The reference.
        question: "" if unknown.
        more_aliases: The row's wordings that count as the reference.

    Returns:
        Whether they are equal, the reason, and whether the answer is refused for a cause (a denial, a hedge, an
        opposite, another number) rather than for different wording.

    Example:
        >>> compare_short("the Guillain-Barré syndrome", "GBS", "", ())
        (True, 'equal', False)
    """
    reference = read_reference(gold, question, more_aliases)
    answer = _RIGHT_ANSWER.sub("", answer)
    said = clean(answer)
    phrase = read_phrase(said)
    without_comma = normalise(COMMA.sub(" ", answer)).joined if "," in answer else phrase.joined
    if "?" in answer and "?" not in gold:
        return False, "'?' is a hedge", True
    if _ROW_OF_BRACKETS.search(gold) and _NO_BRACKET.sub("", answer) != _NO_BRACKET.sub("", gold):
        return False, "another row of brackets", True
    if not reference.joined.isdisjoint((phrase.joined, phrase.spelled, without_comma)):
        return True, "equal", False
    about = read_question(question)
    needed = reference.routes
    if is_by_target(answer) != reference.is_by_target:
        needed |= _ANTIBODIES  # an antibody is not what it binds
    if needed:
        about = replace(about, words=about.words - needed, optional=about.optional - needed)
    phrases = [phrase, *map(normalise, readings(answer, reference, about))]
    repeated = about.words - about.alternatives
    match = (
        any(_is_equal(one, form, about, repeated) for one in phrases for form in reference.forms)
        or any(_is_equal(one, form, about, frozenset()) for one in phrases for form in reference.short_forms)
        or any(
            _is_equal(one, name, about, repeated)
            for one in phrases
            for name, needed in reference.names.items()
            if needed.issubset(one.tokens)
        )
    )
    if match:
        cause = (
            _stated_beyond(said, (reference.text, *more_aliases), about.exceptions)
            or _bracketed_opposite(answer, gold)
            or _used_instead(said, reference.text, about)
            or _exchanged(phrase, (*reference.forms, *reference.names))
        )
        return (False, cause, True) if cause else (True, "equal but for words that add nothing", False)
    causes = (contradiction(one, reference.phrase) for one in phrases)
    cause = stated_refusal(said, reference.text) or next(filter(None, causes), "")
    if not cause and _is_another_order(phrase, reference.phrase):
        cause = "the same words in an order that means another thing"
    return False, cause or "not equal", bool(cause)


def _used_instead(said: str, wanted: str, about: Question) -> str:
    """Return a reason if an answer says to use what the question wants stopped or avoided; "" otherwise."""
    if not about.wants_unused or stated_refusal(said, wanted):
        return ""
    head, of_wanted = REASON.sub("", said).casefold(), set(_USED.findall(wanted.casefold()))
    used = [word for word in _USED.findall(head) if word not in of_wanted]
    return f"{used[0]!r} says the opposite of what is asked" if used else ""


def _bracketed_opposite(answer: str, gold: str) -> str:
    """Return a reason if a bracket says the opposite of a word outside it, or of the reference's bracket.

    "right (left) renal artery", or "artery (left)" for "artery (right)".
    """
    of_gold = [set(normalise(bracket[1]).tokens) for bracket in BRACKET.finditer(gold)]
    for place, bracket in enumerate(BRACKET.finditer(answer)):
        inside = set(normalise(bracket[1]).tokens)
        wanted = of_gold[place] if place < len(of_gold) else set()
        if opposite_words(inside - wanted, wanted - inside):
            return "a bracket says the opposite of the reference's"
        outside = set(normalise(BRACKET.sub(" ", answer)).tokens)
        opposite = min(opposite_words(inside - outside, outside), default=None)
        if opposite:
            return f"{opposite[0]!r} in a bracket says the opposite"
    return ""


def _stated_beyond(said: str, wanted: tuple[str, ...], exceptions: tuple[str, ...]) -> str:
    """Return the denial or hedge by which an answer goes beyond each of the wordings; "" if one of them has it too."""
    causes = [stated_refusal(said, " ".join((text, *exceptions))) for text in wanted]
    return causes[0] if all(causes) else ""


def _exchanged(phrase: Phrase, forms: tuple[Phrase, ...]) -> str:
    """Return a reason if an answer has the opposite in place of a word, whichever wording it is compared with."""
    for form in forms:
        if not opposite_words(*_differing(phrase.tokens, form.tokens)):
            return ""
    return "an opposite in place of a word"


def _is_equal(one: Phrase, other: Phrase, about: Question, question_words: frozenset[str]) -> bool:
    """Return whether an answer equals a wording of the reference (`other`).

    Class words may be in one of the two alone, and word order is ignored where it has no meaning.
    """
    # "Both lungs" are more than a lung; before a list, the word adds nothing.
    optional = about.optional
    if "both" in other.tokens and SEPARATOR not in other.tokens:
        optional -= {"both"}
    core, wanted = _core(one.tokens, optional), _core(other.tokens, optional)
    if not core or not wanted:
        return one.joined == other.joined
    if one.spelled == other.spelled:
        return True
    if not _same_class_items(one, other, optional):
        return False
    said, needed = set(core), set(wanted)
    if not (said <= needed or said >= needed or "".join(core) == "".join(wanted)):
        return False
    added = _differing(one.tokens, other.tokens)
    if opposite_words(*added):
        return False
    classes = about.optional - folded_role("filler")
    if not any(map(classes.isdisjoint, added)):
        return False
    core, wanted = _without_question_words(core, wanted, question_words)
    if join(core) == join(wanted) or _is_same_value(core, wanted, question_words):
        return True
    if one.is_ordered or other.is_ordered or len(core) > _MOST_FREE_WORDS or not all(map(str.isascii, core)):
        return False
    return _numbers(core) == _numbers(wanted) and _without_order(core) == _without_order(wanted)


def _numbers(tokens: tuple[str, ...]) -> list[str]:
    return [token for token in tokens if token[-1].isdigit() and not token[0].isalpha()]


def _core(tokens: tuple[str, ...], optional: frozenset[str]) -> tuple[str, ...]:
    """Return a text without its optional words, and without the items of a list that have no others."""
    kept = [words for item in _items(tokens) if (words := [word for word in item if word not in optional])]
    return tuple(chain.from_iterable([SEPARATOR, *words] if place else words for place, words in enumerate(kept)))


def _items(tokens: tuple[str, ...]) -> list[list[str]]:
    """Divide a text into the items of a list; one if it is none."""
    items: list[list[str]] = [[]]
    for token in tokens:
        if token == SEPARATOR:
            items.append([])
        else:
            items[-1].append(token)
    return items


def _same_class_items(one: Phrase, other: Phrase, optional: frozenset[str]) -> bool:
    """Return whether two texts have the same list items that consist of class words alone.

    A class word adds nothing to another word, but as an item of its own it is a part of the answer: "surgery" in
    "physical therapy, surgery".
    """
    mine, theirs = _class_items(one.tokens, optional), _class_items(other.tokens, optional)
    return len(mine) == len(theirs) and all(any(a <= b or a >= b for b in theirs) for a in mine)


def _class_items(tokens: tuple[str, ...], optional: frozenset[str]) -> list[set[str]]:
    items = [set(item) for item in _items(tokens)]
    fillers = folded_role("filler") - folded_role("class")
    return [kept for item in items[1:] and items if item <= optional and (kept := item - fillers)]


def _differing(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return the extra words of each of two texts over the other."""
    mine, theirs = Counter(one), Counter(other)
    return list((mine - theirs).elements()), list((theirs - mine).elements())


def _without_question_words(
    core: tuple[str, ...], wanted: tuple[str, ...], question_words: frozenset[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Drop the words that only one of the texts has, if the question has them too.

    An answer may repeat words of the question or leave them out. Both texts must share the same words that the
    question lacks, and at least one, so that candidates named in the question stay distinct. Numbers, opposites and
    list items are kept.
    """
    more, less = _differing(core, wanted)
    surplus = more or less
    # "right" leads in "the right answer is", and is an answer where a side is asked for.
    known = question_words | set(filterfalse(is_polar, folded_role("lead"))) | {SEPARATOR}
    novel = [token for token in wanted if token not in known]
    if not surplus or (more and less) or not novel or len(surplus) > _MOST_QUESTION_WORDS:
        return core, wanted
    if any(word not in question_words or is_polar(word) or word[-1].isdigit() or len(word) < 3 for word in surplus):
        return core, wanted
    dropped = Counter(surplus)
    longer = []
    for token in core if more else wanted:
        if dropped[token]:
            dropped[token] -= 1
        else:
            longer.append(token)
    return (tuple(longer), wanted) if more else (core, tuple(longer))


def _without_order(tokens: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Sort the items of a list, and the words within each item if their order has no meaning."""
    items = _items(tokens)
    is_free = not axes(tokens) and (len(items) == 1 or not any(map(is_polar, tokens)))
    return sorted(tuple(sorted(item) if is_free else item) for item in items)


def _is_another_order(one: Phrase, other: Phrase) -> bool:
    return sorted(one.tokens) == sorted(other.tokens)


def _is_same_value(one: tuple[str, ...], other: tuple[str, ...], question_words: frozenset[str]) -> bool:
    """Return whether one text is the other's number without its unit, and the question states the unit."""
    units = word_roles()["unit"]
    bare, full = sorted((one, other), key=len)
    rest = full[len(bare) :]
    if not rest or full[: len(bare)] != bare or not all(token[-1].isdigit() for token in bare):
        return False
    return all(token in units for token in rest) and not question_words.isdisjoint((rest[0], rest[0] + "s"))
