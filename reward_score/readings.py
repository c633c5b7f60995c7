"""The ways to read an answer: without lead-in, brackets and explanation, and with abbreviations written out."""

import re
from collections.abc import Iterator

from reward_score.aliases import BRACKET, SUBJECT_ENDS, expanded, has_abbreviation, is_said, without_subject
from reward_score.normalise import normalise
from reward_score.question import Question
from reward_score.reference import Reference
from reward_score.text import any_of, plain

# An explanation after the answer itself; the part before it decides.
_EXPLAINS = (
    "because", "since", "due to", "caused by", "secondary to", "resulting from", "as a result of", "such as", "e.g.",
    "for example", "namely", "as it", "as this", "as they", "given the", "given his", "given her", "given this",
    "based on", "causing", "leading to", "resulting in",
)  # fmt: skip
REASON = re.compile(
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
# Where `REASON`, `_PREDICATE` or `without_subject` can divide a text without signs: the first words of their phrases.
_DIVIDING = frozenset(phrase.split()[0] for phrase in (*_EXPLAINS, *_LINKS, *SUBJECT_ENDS))
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


def readings(answer: str, reference: Reference, about: Question) -> Iterator[str]:
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
        without = _KIND_OF_ORGANISM.sub("", REASON.sub("", BRACKET.sub("", body)).strip())
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
    """Return whether a text is a term alone: only words, and none of what `readings` divides or leaves out."""
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
