"""A short reference and the wordings that count as it."""

import re
from dataclasses import dataclass
from functools import lru_cache

from reward_score.aliases import aliases, expanded, has_abbreviation, shorter_forms
from reward_score.normalise import Phrase, clean, fold, folded_role, normalise
from reward_score.question import read_question
from reward_score.synonyms import equal_amounts, names_by_target, other_names

# A comma that adds nothing: "45,X", "substantia nigra, pars compacta".
COMMA = re.compile(r"(?<=\d),\s*(?=[XY])|,\s+(?=pars\s)")
# A route that the reference states must be in the answer, whatever the question asks for.
_ROUTES = frozenset(("oral", "infusion", "injection"))
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*")


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
    said = words | folded_role("filler") | {"a"}
    names = {
        name: frozenset(name.tokens).difference(phrase.tokens)
        for form in forms
        for name in (*other_names(form), *equal_amounts(form))
        if not said.issuperset(name.tokens)
    }
    rows = [normalise(COMMA.sub(" ", text)).joined for text in texts if "," in text]
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
        is_by_target=is_by_target(gold),
    )


def is_by_target(text: str) -> bool:
    """Return whether a text is an antibody named by its target: "anti-Smith antibody"."""
    lower = text.casefold()
    return lower.startswith("anti-") or (
        "antibod" in lower and any(name.startswith("antibody") for name in names_by_target(text))
    )
