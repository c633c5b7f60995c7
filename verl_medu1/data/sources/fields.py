"""Reads and checks the fields of a record. No message repeats a text, which may be a patient's.

A value is a text or a number. Anything else, such as a list instead of a text or an unknown kind of object, makes the
record unusable: converted with str(), it would get into a prompt unnoticed.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from verl_medu1.data.records import Record

Options = tuple[tuple[str, str], ...]

_TAGS = re.compile(r"</?(?:Context|Question)>")
# Includes floats, because a column with gaps is read as floats.
_WHOLE = re.compile(r"-?\d{1,9}(?:\.0)?", re.ASCII)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Published forms of options as a list of objects: (field of the letter, field of the text).
_PAIR_FORMS = (("key", "value"), ("letter", "content"), ("letter", "text"), ("option", "text"))


class FieldError(ValueError):
    """A field that makes its record unusable.

    Attributes:
        reason: the reason in words that are the same for all such records, for counting.

    Example:
        >>> error = FieldError("cop", "is -1", "it must be one of 0, 1, 2, 3")
        >>> str(error), error.reason
        ('field cop is -1; it must be one of 0, 1, 2, 3', 'field cop: it must be one of 0, 1, 2, 3')
    """

    def __init__(self, field: str, found: str, needed: str) -> None:
        super().__init__(f"field {field} {found}; {needed}")
        self.reason = f"field {field}: {needed}"


def is_empty(value: Any) -> bool:
    """Return whether a field is empty: None (as in parquet and JSON), NaN (as in pandas), or a blank text.

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
    """Return a field as text; numbers are converted.

    Raises:
        FieldError: the field is missing, empty or neither text nor number.

    Example:
        >>> text({"answer": 25.5}, "answer")
        '25.5'
    """
    if is_empty(record.get(field)):
        raise FieldError(field, "is empty", "it must hold text")
    return plain(record.get(field), field)


def plain(value: Any, field: str) -> str:
    """Return a text without outer spaces, or a number as text.

    Raises:
        FieldError: the value is anything else.

    Example:
        >>> plain(25.5, "answer")
        '25.5'
    """
    is_number = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    if isinstance(value, bool) or not (is_number or isinstance(value, str)):
        raise FieldError(field, f"holds {shown(value)}", "it must hold text")
    return _encodable(str(value).strip(), field)


def untagged(value: str) -> str:
    """Remove the tags that Med-U1's release has around context and question."""
    return _TAGS.sub(" ", value).strip()


def untagged_text(record: Record, field: str) -> str:
    """Return the text of a field without those tags.

    Raises:
        FieldError: as for `text`, or there is nothing but tags.
    """
    value = untagged(text(record, field))
    if not value:
        raise FieldError(field, "has nothing between its tags", "it must hold text")
    return value


def passages(value: Any, field: str, least: int = 1) -> list[str]:
    """Return the texts of a list, without empty ones.

    Args:
        value: value of the field.
        field: its name, for messages.
        least: minimum number of texts.

    Raises:
        FieldError: the value is not a list of texts, or has too few.

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
    """Return the options as (letter, text) pairs.

    Letters without a text (None or NaN, filled in by parquet and pandas) are skipped. Two options may have the same
    text; whether the question is still usable depends on its gold answer (see `letter`).

    Args:
        value: value of the field: a mapping from letters to texts, a list of texts, or a list of objects
            {key, value}, {letter, content}, {letter, text} or {option, text}.
        field: its name, for messages.

    Raises:
        FieldError: the value has another form, a letter is not one of A to Z or occurs twice, an option is neither
            text nor number or has no text, or there are fewer than two options.

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
    """Return (letter, text) pairs from any of the published forms, unchecked."""
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
    """Strip the letters from the options if each text begins with its own ("B. Rest"); prompts add them anyway."""
    dress = [re.match(rf"\(?{letter}[.):]\s+(?=\S)", text) for letter, text in pairs]
    if not all(dress):
        return pairs
    return tuple((letter, text[match.end() :]) for (letter, text), match in zip(pairs, dress, strict=True) if match)


def letter(record: Record, field: str, among: Options) -> str:
    """Return the letter of the right option.

    Raises:
        FieldError: the letter is missing, is not an option's, or another option has the same text.

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
    """Return the letter, if no other option has the same text."""
    texts = dict(among)
    same = [other for other, text in among if text == texts[letter] and other != letter]
    if same:
        raise FieldError(
            field, f"is option {letter}, which has the text of option {same[0]}", "the right option must stand once"
        )
    return letter


def letter_of(record: Record, field: str, among: Options) -> str:
    """Return the letter of the right option, which the field gives by its text.

    Raises:
        FieldError: the text is missing, is no option's, or two options have it.

    Example:
        >>> letter_of({"gt_answer": "No"}, "gt_answer", (("A", "yes"), ("B", "no")))
        'B'
    """
    value = " ".join(text(record, field).split()).casefold()
    named = [letter for letter, option in among if option.casefold() == value]
    if not named:
        raise FieldError(field, "is the text of no option", "it must be that of one")
    return _only(named[0], field, among)


def letter_at(record: Record, field: str, among: Options, first: int = 0) -> str:
    """Return the letter of the right option, which the field gives as a number.

    Args:
        record: the record.
        field: the field with the number.
        among: the options.
        first: the number of the first option.

    Raises:
        FieldError: the number is missing, is not an option's, or another option has the same text.

    Example:
        >>> letter_at({"cop": 2}, "cop", (("A", "yes"), ("B", "no")), first=1)
        'B'
    """
    number = whole(record, field)
    letters = [letter for letter, _ in among]
    # A letter without an option still has its number.
    numbered = {place: letter for place, letter in enumerate(LETTERS, start=first) if letter in letters}
    if number not in numbered:
        raise FieldError(field, f"is {number}", f"the options are numbered {', '.join(map(str, numbered))}")
    return _only(numbered[number], field, among)


def whole(record: Record, field: str) -> int:
    """Return the whole number in a field.

    Raises:
        FieldError: the field is missing or not a whole number.
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
    """Describe a value without repeating its text, unless that is a single character."""
    if isinstance(value, str):
        return repr(value) if len(value) == 1 else f"a text of {len(value)} characters"
    return f"a {type(value).__name__}"
