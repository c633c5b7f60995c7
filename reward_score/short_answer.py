"""Short answers: equal to the reference after normalisation, or refused."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from reward_score.aliases import (
    BRACKET,
    SUBJECT_ENDS,
    aliases,
    expanded,
    has_abbreviation,
    is_said,
    shorter_forms,
    without_subject,
)
from reward_score.normalise import SEPARATOR, Phrase, clean, fold, join, normalise, read_phrase
from reward_score.refusals import axes, contradiction, is_polar, opposite_words, stated_refusal
from reward_score.synonyms import equal_amounts, names_by_target, other_names
from reward_score.text import any_of, plain
from reward_score.word_lists import asked_words, refusal_words, word_roles

# An explanation after the answer itself; the part before it decides.
_EXPLAINS = (
    "because", "since", "due to", "caused by", "secondary to", "resulting from", "as a result of", "such as", "e.g.",
    "for example", "namely", "as it", "as this", "as they", "given the", "given his", "given her", "given this",
    "based on", "causing", "leading to", "resulting in",
)  # fmt: skip
_REASON = re.compile(
    rf"[\s,;]{{1,3}}(?:{any_of(_EXPLAINS)})\s.*$"
    r"|,\s*(?:which|an?|as|especially|usually|typically)\s.*$"
    r"|(?<=[a-z\d)]{3})\.\s+(?:it|this|these|they|the|in|as|because)\s.*$"
    r"|\s-\s(?:\S+\s+){3}.*$",
    re.IGNORECASE | re.DOTALL,
)
# How a sentence leads to its answer without adding anything to it: "The findings are most consistent with ...".
_LEAD_IN = re.compile(
    r"^(?:i\s+(?:think|believe)\s+(?:(?:it|this)\s+is|that)|i\s+would\s+(?:diagnose|give|order|do|perform|start|choose|suggest|"
    r"recommend)|(?:dx|first-line|investigation\s+of\s+choice|best\s+test):|"
    r"(?:the\s+)?(?:gold[-\s]standard|first[-\s]line)(?:\s+(?:test|treatment|therapy|drug|investigation))?\s+is|"
    r"proceed\s+(?:with|to)|refer\s+(?:the\s+patient\s+)?for|management\s+with|(?:the\s+)?patient\s+should\s+(?:get|"
    r"receive|undergo|have)|(?:the\s+)?diagnosis\s+is\s+(?:made|confirmed)\s+by|it\s+is\s+(?:diagnosed|treated|supplied|caused|"
    r"innervated|produced|secreted)\s+by(?:\s+the)?|it\s+works\s+by|(?:it\s+)?(?:originates|arises|derives)\s+from(?:\s+the)?|caused\s+by|"
    r"(?:(?:the|this|these|his|her)\s+)?(?:(?:clinical|patient's)\s+)?(?:(?:findings?|presentation|picture|features?|symptoms?|signs|"
    r"history|results?|patient|child|infant|man|woman|boy|girl|it|this)\s+)?(?:(?:is|are|most|likely|probably|strongly|has)\s+){0,3}"
    r"(?:(?:consistent|compatible)\s+with|suggestive\s+of|suggests?|indicates?|indicative\s+of|points?\s+to|(?:classic|typical|"
    r"characteristic)\s+(?:of|for)|features\s+of|most\s+likely\s+has))\s+(?=\S)",
    re.IGNORECASE,
)
_LABEL = re.compile(r"^([^:]{1,80}):\s+")
_LINKS = ("is", "are", "was", "were", "would be", "should be")
_PREDICATE = re.compile(rf"\s+(?:{any_of(_LINKS)})\s+(.+)$", re.IGNORECASE | re.DOTALL)
# Where `_REASON`, `_PREDICATE` or `without_subject` can divide a text without signs: the first words of their phrases.
_DIVIDING = frozenset(phrase.split()[0] for phrase in (*_EXPLAINS, *_LINKS, *SUBJECT_ENDS))
_ASKED = re.compile(
    r"\b(?:which|what|whose|name\s+the)\s+"
    r"(?:(?:is|are|was|were|should\s+be|would\s+be)\s+(?:the\s+)?)?([^.,;?]{1,120})",
    re.IGNORECASE,
)
# "Which nerve is most likely injured": the state that a question asks for.
_STATE = re.compile(
    r"\b(?:which|what)\s+(?:(?!(?:if|when|after|that|happens)\b)[a-z-]+\s+){0,4}?"
    r"(?:is|are|was|were|be)\s+(?:[a-z]+ly\s+|most\s+(?:[a-z]+ly\s+)?)?([a-z]+)\b",
    re.IGNORECASE,
)
# What kind of organism a binomial name is: "the spirochete Treponema pallidum".
_KIND_OF_ORGANISM = re.compile(
    r"^(?i:(?:the\s+)?(?:bacterium|bacteria|spirochete|protozoan|parasite|fungus|yeast|mold|nematode|helminth|am[oe]+ba))\s+"
    r"(?=[A-Z][a-z]+\s[a-z]{3})"
)
# A dose after the drug, which a reference without any number does not ask for: "doxycycline 100 mg twice daily".
_DOSE = re.compile(
    r"\s+\d[\d.,-]*\s?(?:mg|mcg|ug|g|units?|iu|ml|mg/kg|g/kg)(?:\s+(?:once|twice|three\s+times|daily|a\s+day|per\s+day|"
    r"every\s+\d+\s+hours|bid|tid|qid|iv|orally|for\s+\d+(?:-\d+)?\s+(?:days?|weeks?|months?)))*$",
    re.IGNORECASE,
)
# A comma that adds nothing: "45,X", "substantia nigra, pars compacta".
_COMMA = re.compile(r"(?<=\d),\s*(?=[XY])|,\s+(?=pars\s)")
# What says that a drug is to be used, the opposite of what a question asks for that wants the one to stop or avoid.
_USED = re.compile(
    r"\b(?:start|begin|initiat|giv(?!en\s+(?:the|his|her|this)\b)|administ|continu|resum|restart|prescri|recommend|indicat|prefer|"
    r"need|requir|necessary|warrant|appropriat|receiv|proceed|of\s+choice|advis|safe|gold|help|tolerat|first|next\s+step|"
    r"best\b(?!\s+(?:answer|option))|(?:us|treat)(?:e|ed|es|ing)?\b|treatment\s+(?:is|with)\b|treatment\b.*\bis\b)",
    re.IGNORECASE,
)
# A question for the drug that is not used.
_NOT_USED = re.compile(
    r"\b(?:which|what)\s[^.?]{0,60}\b(?:not|never)\s+(?:be\s+)?(?:used|given|recommended|indicated|administered|prescribed)\b",
    re.IGNORECASE,
)
_UNUSED = frozenset(("stop", "avoid", "withhold", "contraindicated"))
# A route that the reference states must be in the answer, whatever the question asks for.
_ROUTES = frozenset(("oral", "infusion", "injection"))
_ANTIBODIES = frozenset(("antibody", "immunoglobulin"))
# A question that asks for the exception: "X is the least likely" then affirms X.
_LEAST = re.compile(r"\bleast\s+likely\b", re.IGNORECASE)
# What ends the noun that a question asks for, unless a word such as "type" comes before it.
_NOUN_END = frozenset(
    "is are was were of in that does do did would should can could will has have to for from on "
    "when if where after".split()
)
_KIND_OF = frozenset(("type", "kind", "form", "sort", "class", "part", "group"))
# A reference that contains a row of brackets, possibly among words.
_ROW_OF_BRACKETS = re.compile(r"[(\[{<]\s*[(\[{<\])}>]")
_NO_BRACKET = re.compile(r"[^()\[\]{}<>]")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*")
# A text with more words than this, or without spaces between words, is compared in order.
_MOST_FREE_WORDS = 10
# One text may have at most this many extra words that the question has too.
_MOST_QUESTION_WORDS = 3


@dataclass(frozen=True, slots=True)
class Question:
    """What a question says about its answer.

    Attributes:
        words: All its content words.
        optional: The words that one of two texts may have alone: class words, words that add nothing, and the class of
            things that the question asks for ("artery" in "Which artery ...?").
        exceptions: Its "least likely" or "should be avoided", which are then no denial in an answer.
        wants_unused: Whether it asks for what is to be stopped, avoided or not used.
    """

    words: frozenset[str]
    optional: frozenset[str]
    exceptions: tuple[str, ...]
    wants_unused: bool


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed reference.

    Attributes:
        text: The cleaned text.
        phrase: The normalised reference.
        forms: The phrases that count as equal, including `phrase`.
        names: The same with other names of what they name, each with its words that the reference lacks. An answer
            needs them all: "bone infection" is osteomyelitis, and "bone" is not.
        short_forms: Those without a subject or purpose; question words must not be dropped from them as well.
        joined: All forms without spaces.
        asked: Its words that the question has too.
        has_abbreviation: Whether it has an abbreviation.
        routes: The routes of a drug that it states.
        is_by_target: Whether it is an antibody named by its target.
    """

    text: str
    phrase: Phrase
    forms: tuple[Phrase, ...]
    names: dict[Phrase, frozenset[str]]
    short_forms: tuple[Phrase, ...]
    joined: frozenset[str]
    asked: frozenset[str]
    has_abbreviation: bool
    routes: frozenset[str]
    is_by_target: bool


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
    said = clean(answer)
    phrase = read_phrase(said)
    without_comma = normalise(_COMMA.sub(" ", answer)).joined if "," in answer else phrase.joined
    if "?" in answer and "?" not in gold:
        return False, "'?' is a hedge", True
    if _ROW_OF_BRACKETS.search(gold) and _NO_BRACKET.sub("", answer) != _NO_BRACKET.sub("", gold):
        return False, "another row of brackets", True
    if not reference.joined.isdisjoint((phrase.joined, phrase.spelled, without_comma)):
        return True, "equal", False
    about = read_question(question)
    needed = reference.routes
    if _is_by_target(answer) != reference.is_by_target:
        needed |= _ANTIBODIES  # an antibody is not what it binds
    if needed:
        about = replace(about, words=about.words - needed, optional=about.optional - needed)
    phrases = [phrase, *map(normalise, _readings(answer, reference, about))]
    match = (
        any(_is_equal(one, form, about, about.words) for one in phrases for form in reference.forms)
        or any(_is_equal(one, form, about, frozenset()) for one in phrases for form in reference.short_forms)
        or any(
            _is_equal(one, name, about, about.words)
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


@lru_cache(maxsize=1024)
def read_reference(gold: str, question: str, more_aliases: tuple[str, ...]) -> Reference:
    """Parse a reference with its aliases: the row's, and those that it states itself."""
    words = read_question(question).words
    texts = [gold, *more_aliases]
    texts += [alias for text in texts for alias in (*aliases(text), *names_by_target(text), expanded(text, text))]
    forms, short_forms = (
        tuple(dict.fromkeys(form for form in map(normalise, group) if form.joined))
        for group in (texts, [form for text in texts for form in shorter_forms(clean(text), words)])
    )
    text, phrase = clean(gold), normalise(gold)
    # "Which abnormality causes Down syndrome?" is not answered by "Down syndrome".
    said = words | _folded_role("filler") | {"a"}
    names = {
        name: frozenset(name.tokens).difference(phrase.tokens)
        for form in forms
        for name in (*other_names(form), *equal_amounts(form))
        if not said.issuperset(name.tokens)
    }
    rows = [normalise(_COMMA.sub(" ", text)).joined for text in texts if "," in text]
    joined = frozenset(text for form in (*forms, *names, *short_forms) for text in (form.joined, form.spelled))
    return Reference(
        text,
        phrase,
        forms,
        names,
        short_forms,
        joined.union(rows),
        asked=words & frozenset(map(fold, map(str.casefold, _WORD.findall(text)))),
        has_abbreviation=has_abbreviation(text),
        routes=_ROUTES.intersection(phrase.tokens),
        is_by_target=_is_by_target(gold),
    )


@lru_cache(maxsize=1024)
def read_question(question: str) -> Question:
    """Parse what a question says about its answer.

    Example:
        >>> "artery" in read_question("Which artery is it?").optional
        True
    """
    text = clean(question) if question else ""
    roles = word_roles()
    known = _folded_role("asked") | _folded_role("class")
    asked: set[str] = set()
    # Nouns and states by which the question asks; each may allow further words (`asked_words.csv`).
    keys: list[str] = [match[1].casefold() for match in _STATE.finditer(text)]
    for match in _ASKED.finditer(text):
        before = ""
        for word in map(str.casefold, _WORD.findall(match[1])):
            if word in _NOUN_END and before not in _KIND_OF:
                break
            keys.append(fold(word))
            if keys[-1] in known:
                asked.add(keys[-1])
            before = word
    further = [word for key in keys for word in asked_words().get(key, ())]
    asked.update(map(fold, further))
    words = frozenset(fold(word) for word in map(str.casefold, _WORD.findall(text)) if word not in roles["function"])
    optional = _folded_role("class") | _folded_role("filler") | asked
    # "Which drug should be stopped?": then "stop metformin" denies nothing.
    unused = tuple(filter(refusal_words().__contains__, further))
    exceptions = (*map(str.casefold, _LEAST.findall(text)), *unused)
    wants_unused = bool(_NOT_USED.search(text)) or not _UNUSED.isdisjoint(unused)
    return Question(words, optional, tuple(dict.fromkeys(exceptions)), wants_unused)


@lru_cache(maxsize=16)
def _folded_role(role: str) -> frozenset[str]:
    return frozenset(map(fold, word_roles()[role]))


def _readings(answer: str, reference: Reference, about: Question) -> Iterator[str]:
    """Yield variants of an answer: without lead-in, brackets and explanation, and with abbreviations expanded."""
    text, gold = plain(answer), reference.text
    if _is_bare(text) and not reference.has_abbreviation:
        return
    bodies = [text]
    led = _LEAD_IN.sub("", text)
    if led != text:
        bodies.append(led)
    label = _LABEL.match(text)
    if label and is_said(label[1], about.words):
        bodies.append(text[label.end() :])
    # A subject that the reference lacks may be another candidate of the question.
    shared = about.words & reference.asked
    bodies += filter(None, [without_subject(body, shared) for body in bodies])
    bodies += [_PREDICATE.sub("", body) for body in bodies if _repeats_question(body, about)]
    for body in bodies:
        without = _KIND_OF_ORGANISM.sub("", _REASON.sub("", BRACKET.sub("", body)).strip())
        if not any(map(str.isdigit, gold)):
            without = _DOSE.sub("", without)
        for form in dict.fromkeys((body, without)):
            # An entity such as "&minus;" becomes a sign that only a second reading replaces.
            if form and (form != text or "&" in answer):
                yield form
            longer = expanded(form, gold)
            if longer != form:
                yield longer
            # The other way round: expand the reference's abbreviations with the words of the answer.
            full = expanded(gold, form) if form else gold
            if full != gold and normalise(full).joined == normalise(form).joined:
                yield gold


def _is_bare(text: str) -> bool:
    """Return whether a text is a term alone: only words, and none of what `_readings` divides or leaves out."""
    return (
        text.isascii()
        and text.replace(" ", "").isalpha()
        and _DIVIDING.isdisjoint(text.casefold().split())
        and not has_abbreviation(text)
        and not _LEAD_IN.match(text)
        and not _KIND_OF_ORGANISM.match(text)
    )


def _repeats_question(text: str, about: Question) -> bool:
    """Return whether the predicate of an answer ("X is the best next step") only repeats the question."""
    predicate = _PREDICATE.search(text)
    return predicate is not None and is_said(predicate[1], about.words)


def _is_by_target(text: str) -> bool:
    """Return whether a text is an antibody named by its target: "anti-Smith antibody"."""
    lower = text.casefold()
    return lower.startswith("anti-") or (
        "antibod" in lower and any(name.startswith("antibody") for name in names_by_target(text))
    )


def _used_instead(said: str, wanted: str, about: Question) -> str:
    """Return a reason if an answer says to use what the question wants stopped or avoided; "" otherwise."""
    if not about.wants_unused or stated_refusal(said, wanted):
        return ""
    head, of_wanted = _REASON.sub("", said).casefold(), set(_USED.findall(wanted.casefold()))
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
    """Return whether two phrases are equal except for class words in one of them and word order without meaning."""
    core, wanted = _core(one.tokens, about.optional), _core(other.tokens, about.optional)
    if not core or not wanted:
        return one.joined == other.joined
    if one.spelled == other.spelled:
        return True
    said, needed = set(core), set(wanted)
    if not (said <= needed or said >= needed or "".join(core) == "".join(wanted)):
        return False
    added = _differing(one.tokens, other.tokens)
    if opposite_words(*added):
        return False
    classes = about.optional - _folded_role("filler")
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
    kept = [token for token in tokens if token not in optional]
    while kept and kept[-1] == SEPARATOR:
        kept.pop()
    return tuple(kept)


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
    known = question_words | _folded_role("lead") | {SEPARATOR}
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
    items: list[list[str]] = [[]]
    for token in tokens:
        if token == SEPARATOR:
            items.append([])
        else:
            items[-1].append(token)
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
