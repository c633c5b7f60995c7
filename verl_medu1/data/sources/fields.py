"""Fields of a record, checked. No message repeats a text: it may be a patient's.

A value is a text or a number. Whatever else stands in a field, a list in place of a text or an object of a form that
nobody publishes, makes the record unusable: written out as Python shows it, it would go into a prompt unseen.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from verl_medu1.data.records import Record

Options = tuple[tuple[str, str], ...]

_TAGS = re.compile(r"</?(?:Context|Question)>")
# A column with gaps comes as floats.
_WHOLE = re.compile(r"-?\d{1,9}(?:\.0)?", re.ASCII)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# The forms in which a list of options is published as objects: (field of the letter, field of the text).
_PAIR_FORMS = (("key", "value"), ("letter", "content"), ("letter", "text"), ("option", "text"))


class FieldError(ValueError):
    """A field that makes its record unusable.

    Attributes:
        reason: what is wrong in words that are the same for all such records, to be counted.

    Example:
        >>> error = FieldError("cop", "is -1", "it must be one of 0, 1, 2, 3")
        >>> str(error), error.reason
        ('field cop is -1; it must be one of 0, 1, 2, 3', 'field cop: it must be one of 0, 1, 2, 3')
    """

    def __init__(self, field: str, found: str, needed: str) -> None:
        super().__init__(f"field {field} {found}; {needed}")
        self.reason = f"field {field}: {needed}"


def is_empty(value: Any) -> bool:
    """Whether a field holds nothing: None, as parquet and JSON have it, NaN, as pandas has it, or a blank text.

    Example:
        >>> [is_empty(value) for value in (None, float("nan"), " ", 0, [])]
        [True, True, True, False, False]
    """
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and not value.strip())
    )


def text(record: Record, field: str) -> str:
    """The text of a field; numbers as text.

    Raises:
        FieldError: it is missing, empty or neither text nor number.

    Example:
        >>> text({"answer": 25.5}, "answer")
        '25.5'
    """
    if is_empty(record.get(field)):
        raise FieldError(field, "is empty", "it must hold text")
    return plain(record.get(field), field)


def plain(value: Any, field: str) -> str:
    """A text without outer spaces; a number as text.

    Raises:
        FieldError: it is anything else.

    Example:
        >>> plain(25.5, "answer")
        '25.5'
    """
    is_number = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    if isinstance(value, bool) or not (is_number or isinstance(value, str)):
        raise FieldError(field, f"holds {shown(value)}", "it must hold text")
    return _encodable(str(value).strip(), field)


def untagged(value: str) -> str:
    """The text without the tags that Med-U1's release has around context and question."""
    return _TAGS.sub(" ", value).strip()


def untagged_text(record: Record, field: str) -> str:
    """The text of a field without those tags.

    Raises:
        FieldError: as for `text`, or nothing but tags.
    """
    value = untagged(text(record, field))
    if not value:
        raise FieldError(field, "has nothing between its tags", "it must hold text")
    return value


def passages(value: Any, field: str, least: int = 1) -> list[str]:
    """The texts of a list; empty ones are passed over.

    Args:
        value: what the field holds.
        field: its name, for messages.
        least: so many texts must be there.

    Raises:
        FieldError: it is no list of texts, or has fewer.

    Example:
        >>> passages(["Ten sailors. ", "All rested."], "context")
        ['Ten sailors.', 'All rested.']
    """
    if not isinstance(value, list):
        raise FieldError(field, f"holds {shown(value)}", "it must be a list of texts")
    texts = [plain(item, field) for item in value if not is_empty(item)]
    if len(texts) < least:
        raise FieldError(field, "is an empty list", f"it must hold {least} text or more")
    return texts


def options(value: Any, field: str) -> Options:
    """(letter, text) pairs of the options.

    Letters without a text (None or NaN, as parquet and pandas fill them in) are no options. Two options may have the
    same text: whether the question can be used all the same depends on its gold answer (see `letter`).

    Args:
        value: what the field holds: a mapping from letters to texts, a list of texts, or a list of objects
            {key, value}, {letter, content}, {letter, text} or {option, text}.
        field: its name, for messages.

    Raises:
        FieldError: another form, a letter that is none of A to Z or comes twice, an option that is neither text nor
            number, one without text, or fewer than two.

    Example:
        >>> options(["A. yes", "B. no"], "options")
        (('A', 'yes'), ('B', 'no'))
        >>> options([{"key": "A", "value": "yes"}, {"key": "B", "value": "no"}], "options")
        (('A', 'yes'), ('B', 'no'))
    """
    found: dict[str, str] = {}
    for name, item in _lettered(value, field):
        letter = name.strip().upper() if isinstance(name, str) else name
        if not isinstance(letter, str) or len(letter) != 1 or letter not in LETTERS:
            raise FieldError(field, f"has {shown(name)} for a letter", "the letters of options are A to Z")
        if letter in found:
            raise FieldError(field, f"has the letter {letter} twice", "each option needs a letter of its own")
        if item is None or (isinstance(item, float) and math.isnan(item)):
            continue
        found[letter] = " ".join(plain(item, field).split())
        if not found[letter]:
            raise FieldError(field, f"has no text for option {letter}", "each option needs a text")
    if len(found) < 2:
        raise FieldError(field, f"has {len(found)} options", "a question needs at least two")
    return _without_own_letters(tuple(found.items()))


def _lettered(value: Any, field: str) -> list[tuple[Any, Any]]:
    """(what stands for a letter, what stands for a text) of the published forms."""
    if isinstance(value, Mapping):
        return list(value.items())
    if not isinstance(value, list | tuple):
        raise FieldError(field, f"holds {shown(value)}", "it must map letters to options, or list them")
    if not any(isinstance(item, Mapping) for item in value):
        if len(value) > len(LETTERS):
            raise FieldError(field, f"has {len(value)} options", f"there are {len(LETTERS)} letters")
        return list(zip(LETTERS, value, strict=False))
    for name, content in _PAIR_FORMS:
        if all(isinstance(item, Mapping) and set(item) == {name, content} for item in value):
            return [(item[name], item[content]) for item in value]
    forms = " or ".join(f"{{{name}, {content}}}" for name, content in _PAIR_FORMS)
    raise FieldError(field, "lists objects of another form", f"an option is a text, a number, {forms}")


def _without_own_letters(pairs: Options) -> Options:
    """The options without their letters where each text begins with its own, as in "B. Rest": prompts write it."""
    dress = [re.match(rf"\(?{letter}[.):]\s+(?=\S)", text) for letter, text in pairs]
    if not all(dress):
        return pairs
    return tuple((letter, text[match.end() :]) for (letter, text), match in zip(pairs, dress, strict=True) if match)


def letter(record: Record, field: str, among: Options) -> str:
    """The letter of the right option.

    Raises:
        FieldError: it is missing, no letter of the options, or that of an option whose text another one has too.

    Example:
        >>> letter({"answer_idx": "b"}, "answer_idx", (("A", "yes"), ("B", "no")))
        'B'
    """
    value = text(record, field)
    letters = [letter for letter, _ in among]
    if value.upper() not in letters:
        raise FieldError(field, f"holds {shown(value)}", f"it must be one of the options {', '.join(letters)}")
    return _only(value.upper(), field, among)


def _only(letter: str, field: str, among: Options) -> str:
    """The letter, if no other option has the text of its option."""
    texts = dict(among)
    same = [other for other, text in among if text == texts[letter] and other != letter]
    if same:
        raise FieldError(
            field, f"is option {letter}, which has the text of option {same[0]}", "the right option must stand once"
        )
    return letter


def letter_at(record: Record, field: str, among: Options, first: int = 0) -> str:
    """The letter of the right option, which the field gives by its number.

    Args:
        record: the record.
        field: the number's field.
        among: the options.
        first: the number of the first option.

    Raises:
        FieldError: it is missing, no option's number, or that of an option whose text another one has too.

    Example:
        >>> letter_at({"cop": 2}, "cop", (("A", "yes"), ("B", "no")), first=1)
        'B'
    """
    number = whole(record, field)
    letters = [letter for letter, _ in among]
    # A letter without an option keeps its number.
    numbered = {place: letter for place, letter in enumerate(LETTERS, start=first) if letter in letters}
    if number not in numbered:
        raise FieldError(field, f"is {number}", f"the options are numbered {', '.join(map(str, numbered))}")
    return _only(numbered[number], field, among)


def whole(record: Record, field: str) -> int:
    """The whole number of a field.

    Raises:
        FieldError: it is missing or no whole number.
    """
    value = text(record, field)
    if not _WHOLE.fullmatch(value):
        raise FieldError(field, f"holds {shown(value)}", "it must be a whole number")
    return int(float(value))


def _encodable(value: str, field: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise FieldError(field, "has half a character (a lone surrogate)", "no file can hold that") from None
    return value


def shown(value: Any) -> str:
    """What a field holds, in words that repeat no text but a single character."""
    if isinstance(value, str):
        return repr(value) if len(value) == 1 else f"a text of {len(value)} characters"
    return f"a {type(value).__name__}"
