"""What a question says about its answer."""

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from reward_score.normalise import clean, fold, folded_role
from reward_score.word_lists import abbreviations, asked_words, refusal_words, word_roles

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
# A question for the drug that is not used.
_NOT_USED = re.compile(
    r"\b(?:which|what)\s[^.?]{0,60}\b(?:not|never)\s+(?:be\s+)?(?:used|given|recommended|indicated|administered|prescribed)\b",
    re.IGNORECASE,
)
_UNUSED = frozenset(("stop", "avoid", "withhold", "contraindicated"))
# A question that asks for the exception: "X is the least likely" then affirms X.
_LEAST = re.compile(r"\bleast\s+likely\b", re.IGNORECASE)
# What ends the noun that a question asks for, unless a word such as "type" comes before it.
_NOUN_END = frozenset(
    "is are was were of in that does do did would should can could will has have to for from on "
    "when if where after".split()
)
_KIND_OF = frozenset(("type", "kind", "form", "sort", "class", "part", "group"))
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*")
# The last sentence, which asks, and what stands between the alternatives that it names.
_LAST_SENTENCE = re.compile(r"[^.?!]+[.?!\s]*$")
_OR = re.compile(r"\b(?:or|versus|vs)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Question:
    """What a question says about its answer.

    Attributes:
        words: All its content words, and those of its abbreviations.
        alternatives: Those of them that tell the alternatives to choose from apart ("left or right").
        optional: The words that one of two texts may have alone: class words, words that add nothing, and the class of
            things that the question asks for ("artery" in "Which artery ...?").
        exceptions: Its "least likely" or "should be avoided", which are then no denial in an answer.
        wants_unused: Whether it asks for what is to be stopped, avoided or not used.
    """

    words: frozenset[str]
    alternatives: frozenset[str]
    optional: frozenset[str]
    exceptions: tuple[str, ...]
    wants_unused: bool


@lru_cache(maxsize=1024)
def read_question(question: str) -> Question:
    """Parse what a question says about its answer.

    Example:
        >>> "artery" in read_question("Which artery is it?").optional
        True
    """
    text = clean(question) if question else ""
    known = folded_role("asked") | folded_role("class")
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
    alternatives, content = _alternatives(text), _content(text)
    written = [abbreviations().get(word, "") for word in content if word not in alternatives]
    words = frozenset([*content, *_content(" ".join(written))])
    optional = folded_role("class") | folded_role("filler") | asked
    # "Which drug should be stopped?": then "stop metformin" denies nothing.
    unused = tuple(filter(refusal_words().__contains__, further))
    exceptions = (*map(str.casefold, _LEAST.findall(text)), *unused)
    wants_unused = bool(_NOT_USED.search(text)) or not _UNUSED.isdisjoint(unused)
    return Question(words, alternatives, optional, tuple(dict.fromkeys(exceptions)), wants_unused)


def _content(text: str) -> list[str]:
    function = word_roles()["function"]
    return [fold(word) for word in map(str.casefold, _WORD.findall(text)) if word not in function]


def _alternatives(text: str) -> frozenset[str]:
    """Return the words that tell the alternatives of a question apart: "T1" and "T2" in "T1 weighted or T2 weighted?".

    Before "or" these are the last word of the first alternative and all words of others between commas, and after it
    the first word. Words of several alternatives are left out.
    """
    last = _LAST_SENTENCE.search(text)
    parts = _OR.split(last[0]) if last else []
    if len(parts) < 2:
        return frozenset()
    *before, after = [part.split(",") for part in parts]
    pieces = [_content(piece) for part in before for piece in part] + [_content(",".join(after))]
    pieces = [piece for piece in pieces if piece]
    counts = Counter(word for piece in pieces for word in set(piece))
    own = [[word for word in piece if counts[word] == 1] for piece in pieces]
    first, *middle, final = own if len(own) > 1 else ([], [])
    return frozenset([*first[-1:], *chain.from_iterable(middle), *final[:1]])
