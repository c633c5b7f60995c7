"""Multiple choice: one option letter, in any of the usual formats, or the option's text."""

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from reward_score.text import is_question, plain, unwrapped
from reward_score.verdict import Verdict, right, wrong

# A longer answer is an essay, not a choice.
MAX_CHARS = 2000

# Greek and Cyrillic capital letters, and Cyrillic small letters, that look like Latin ones.
_LOOK_ALIKES = str.maketrans(
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ" + "АВЕКМНОРСТХІЈЅ" + "аеорсхіјѕ",
    "ABEZHIKMNOPTYX" + "ABEKMHOPCTXIJS" + "aeopcxijs",
)
# Words before the chosen letter, in English, German, French and Spanish.
_LEAD_IN = frozenset(
    """the my correct best right final most likely appropriate single answer option choice letter response solution
    is are would be should so therefore thus hence choose pick select go with chose based on findings finding all
    above given this these clinical picture history presentation that next step management treatment diagnosis
    antwort die der das ist lautet richtige richtig korrekte buchstabe r\u00e9ponse la le est correcte bonne choix
    respuesta es correcta correcto opci\u00f3n opcion""".split()
)
# The same in Chinese, Japanese, Korean and Russian.
_OTHER_LEAD_IN = re.compile(
    r"^(?:(?:\u56e0\u6b64|\u6240\u4ee5|\u6545)?,?(?:\u6b63\u786e|\u6700\u4f73|\u6700\u7ec8)?\u7684?(?:\u7b54\u6848|\u9009\u9879|\u9009\u62e9|\u9009)[\u662f\u4e3a]?"
    r"|(?:\u7b54\u3048|\u6b63\u89e3)\u306f?|\uc815\ub2f5\uc740?|(?:\u043f\u0440\u0430\u0432\u0438\u043b\u044c\u043d\u044b\u0439\s+)?\u043e\u0442\u0432\u0435\u0442)\s*:?\s*",
    re.IGNORECASE,
)
_I_CHOOSE = re.compile(r"^I(?:\s+would|'d)?\s+(?=(?:choose|chose|pick|select|go with)\b)", re.IGNORECASE)
# A list or quotation marker before the answer: "- C", "> C", "1. C".
_BULLET = re.compile(r"^\s*(?:[->*\u2022]|\d{1,2}[.)])\s+(?=\S)")
# A reason after the letter; it may mention anything.
_REASON = re.compile(r"^\W*(?:because|since|as it|as this|given that|due to|denn|weil|parce|porque)\b", re.IGNORECASE)
# The letter after the text: "Chorea (C)", "chorea, option C".
_LETTER_BEHIND = re.compile(
    r"[\s,]*(?:\(\s*(?:option\s+|choice\s+)?([A-Z])\s*\)|,\s*(?:option|choice)\s+([A-Z]))[.\s]*$"
)
# The text as a sentence: "Chorea is the most likely answer".
_PRAISE = re.compile(
    r"\s+(?:is|are|would be)\s+(?:the\s+)?(?:(?:most|likely|correct|right|best|appropriate|final|next|single)\s+)*"
    r"(?:answer|option|choice|diagnosis|step|cause|treatment|one|correct|right|best)[.!\s]*$",
    re.IGNORECASE,
)
_TRAIL_OUT = frozenset("is are the correct best right final answer option choice one \u9009\u9879 \u3067\u3059".split())
_LETTER = re.compile(r"[\s(\[{<\"'*_#]*([A-Za-z])(?![A-Za-z0-9]|'[A-Za-z])[)\]}>\"'*_]*")
_DELIMITER = re.compile(r"\s*(?:[.:;,=/\u3001\u3002]|-(?=\s)|--)")
_NEGATED = re.compile(
    r"n't\b|\b(?:not|no|never|cannot|neither|nor|without|incorrect|wrong|false|unlikely|improbable|excluded|except|ruled\s+out"
    r"|rule\s+out|instead|rather|possibly|perhaps|maybe|or|either|contraindicated)\b",
    re.IGNORECASE,
)
# A letter on its own; the article "a" before a word does not count.
_LONE_LETTER = re.compile(r"(?<![A-Za-z0-9'])(?:[A-Zb-z]|a(?!\s+[A-Za-z]))(?![A-Za-z0-9'])")
_WORD = re.compile(r"[^\W_]+")
_EXPLANATION = re.compile(r"\s*(?:-{1,2}\s+|[.:;]\s)")


def judge_multiple_choice(answer: str, gold: str, spec: Mapping[str, Any]) -> Verdict:
    r"""Judge the choice of an option.

    Read as B: `b`, `B.`, `(B)`, `**B**`, `Option B`, `The answer is B`, `\boxed{B}`, `B: text`, `B-text`, full-width
    and look-alike letters, `B because ...`, and, if the options are known, the text of option B: alone, followed by
    the letter, or as "B's text is the answer". Deliberately wrong, because ambiguous: two different letters, a list of
    letters, a denial or a hedge, the additional text of another option, a letter with a text that belongs to another
    option or shares no word with its own, and text that two options share.

    Args:
        answer: The extracted answer.
        gold: The letter of the right option.
        spec: Optional `options`: letter -> text, or a sequence of {"letter": ..., "text": ...}; any letters A-Z.

    Raises:
        ValueError: The gold answer is not the letter of an option, or the options can't be read.

    Example:
        >>> judge_multiple_choice("(b) aspirin", "B", {"options": {"A": "heparin", "B": "aspirin"}}).correct
        True
    """
    options = read_options(spec.get("options"))
    expected = _gold_letter(gold, options)
    chosen, reason = _read_choice(answer, options)
    if chosen is None:
        return wrong("", reason)
    if chosen != expected:
        return wrong(chosen, f"{chosen} is not {expected}")
    return right(chosen, reason)


def read_options(options: Any) -> dict[str, str]:
    """Read options given as a mapping, or as a sequence (or array) of {"letter", "text"}; {} if None or empty.

    Raises:
        ValueError: A letter is not one of A-Z or occurs twice, or the options have another structure.
    """
    if options is None:
        return {}
    pairs: Iterable[tuple[Any, Any]]
    try:
        pairs = (
            options.items() if isinstance(options, Mapping) else [(item["letter"], item["text"]) for item in options]
        )
    except (TypeError, KeyError, IndexError):
        raise ValueError(
            f"options must map letters to texts, or be a list of {{'letter', 'text'}}, not {str(options)[:80]!r}"
        ) from None
    result: dict[str, str] = {}
    for letter, text in pairs:
        key = str(letter).strip().upper()
        if len(key) != 1 or not "A" <= key <= "Z" or key in result:
            raise ValueError(f"options has the letter {str(letter)[:20]!r}: use each of A-Z once at most")
        result[key] = str(text)
    return result


def _gold_letter(gold: str, options: Mapping[str, str]) -> str:
    letter = gold.upper() if _is_letter(gold) else _only_letter(plain(gold[:MAX_CHARS]).translate(_LOOK_ALIKES))
    if letter is None or (options and letter not in options):
        known = ", ".join(options) or "A-Z"
        raise ValueError(f"ground_truth {gold[:40]!r} is not a letter of the options ({known})")
    return letter


def _is_letter(text: str) -> bool:
    return len(text) == 1 and text.isascii() and text.isalpha()


def _only_letter(text: str) -> str | None:
    """Return the letter of a text that is just a letter with punctuation around it, else None."""
    match = _LETTER.match(text)
    return match[1].upper() if match and not text[match.end() :].strip(" .:;,\u3002") else None


def _read_choice(answer: str, options: Mapping[str, str]) -> tuple[str | None, str]:
    """Return the chosen letter, or None, and how it was read."""
    if _is_letter(answer):
        letter = answer.upper()
        return (letter, "option letter") if not options or letter in options else (None, f"no option {letter}")
    if len(answer) > MAX_CHARS:
        return None, "too long for a choice"
    text = plain(unwrapped(answer))
    for lead_in in (_BULLET, _OTHER_LEAD_IN, _I_CHOOSE):
        text = lead_in.sub("", text)
    text = text.translate(_LOOK_ALIKES)

    if is_question(text) and not any(map(is_question, options.values())):
        return None, "a question"
    by_text = _options_with_text(text, options)
    if len(by_text) == 1:
        return by_text[0], "text of the option"
    if len(by_text) > 1:
        return None, "text that several options share"

    text = _without_lead_in(text)
    by_text = _options_with_text(_PRAISE.sub("", text), options)
    if len(by_text) == 1:
        return by_text[0], "text of the option"
    behind = _LETTER_BEHIND.search(text)
    if behind and (by_text := _options_with_text(text[: behind.start()], options)):
        letter = behind[1] or behind[2]
        return (letter, "text of the option and its letter") if letter in by_text else (None, "text of another letter")
    match = _LETTER.match(text)
    if not match:
        return None, "no option letter"
    letter, rest = match[1].upper(), text[match.end() :]
    if options and letter not in options:
        return None, f"no option {letter}"
    delimiter = _DELIMITER.match(rest)
    stated = rest[delimiter.end() :].strip() if delimiter else rest.strip()
    # "B-Aspirin" states option B; "B-cell lymphoma" chooses nothing; in "B -5 mg" the sign may belong to the text.
    if letter in _options_with_text(stated.removeprefix("-"), options) and not _options_with_text(stated, options):
        return letter, "option letter and its text"
    return _confirm(letter, stated, bracketed=match[0] != match[1], delimited=delimiter is not None, options=options)


def _confirm(
    letter: str, stated: str, *, bracketed: bool, delimited: bool, options: Mapping[str, str]
) -> tuple[str | None, str]:
    """Accept the letter unless the text after it contradicts it."""
    same_text = _options_with_text(stated, options)
    if letter in same_text:
        return letter, "option letter and its text"
    if same_text:
        return None, f"letter {letter} with the text of {same_text[0]}"
    words = [word for word in map(str.casefold, _WORD.findall(stated)) if word != letter.casefold()]
    if not words or all(word in _TRAIL_OUT for word in words):
        return letter, "option letter"
    if _REASON.match(stated):
        return letter, "option letter with a reason"
    own = options.get(letter, "")
    if _NEGATED.search(_without_own_text(stated, own)):
        return None, "a denial or a hedge"
    explains = _begins_with(stated, own) and not _named_options(_without_own_text(stated, own), letter, options)
    others = {other.upper() for other in _LONE_LETTER.findall(_without_own_letters(stated, own))}
    if not explains and (others & options.keys() if options else others) - {letter}:
        return None, "several letters"
    if _named_options(_without_own_text(stated, own), letter, options):
        return None, "the text of another option too"
    if not (delimited or bracketed):
        return None, "no option letter"
    if options and not set(words) & {word.casefold() for word in _WORD.findall(plain(own))}:
        return None, f"letter {letter} with a text that is not its option's"
    return letter, "option letter with text"


def _begins_with(stated: str, option: str) -> bool:
    """Return whether the option's own text comes first, ended by a punctuation mark or a dash."""
    key = plain(option).translate(_LOOK_ALIKES).casefold()
    rest = stated.casefold().removeprefix(key) if key else stated
    return rest != stated.casefold() and bool(_EXPLANATION.match(rest))


def _without_own_text(stated: str, option: str) -> str:
    key = plain(option).translate(_LOOK_ALIKES)
    return re.sub(re.escape(key), " ", stated, flags=re.IGNORECASE) if key else stated


def _named_options(stated: str, letter: str, options: Mapping[str, str]) -> list[str]:
    """Return the other options whose whole text occurs in the stated text."""
    said = f" {' '.join(_WORD.findall(stated.casefold()))} "
    texts = {
        other: " ".join(_WORD.findall(plain(text).casefold())) for other, text in options.items() if other != letter
    }
    return [other for other, text in texts.items() if len(text) > 3 and f" {text} " in said]


def _without_own_letters(stated: str, option: str) -> str:
    """Drop an option's single letters where they are next to the same word as in its text: the C of "protein C"."""
    for one, other in pairwise(_WORD.findall(plain(option).translate(_LOOK_ALIKES))):
        if len(one) == 1 or len(other) == 1:
            stated = re.sub(rf"\b{one}[\s-]+{other}\b", " ", stated, flags=re.IGNORECASE)
    return stated


def _options_with_text(text: str, options: Mapping[str, str]) -> list[str]:
    key = _text_key(text)
    return [letter for letter, option in options.items() if key and _text_key(plain(option)) == key]


def _text_key(text: str) -> str:
    """Strip case, spaces and outer punctuation from a text; inner signs stay (`< 5 mg` is not `5 mg`)."""
    return "".join(text.translate(_LOOK_ALIKES).casefold().split()).strip(".,;:!?*_\"'")


def _without_lead_in(text: str) -> str:
    """Drop "The correct answer is:" and the like from the front."""
    while text:
        word, _, rest = text.partition(" ")
        head, colon, tail = word.partition(":")
        if head.strip("*_,.").casefold() not in _LEAD_IN and word.strip(":="):
            return text
        text = f"{tail} {rest}".strip() if colon else rest.strip()
    return text
