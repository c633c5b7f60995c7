"""Fields of a record, checked. No message repeats a text: it may be a patient's."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from verl_medu1.data.records import Record

Options = tuple[tuple[str, str], ...]

_TAGS = re.compile(r"</?(?:Context|Question)>")
# A column with gaps comes as floats.
_WHOLE = re.compile(r"-?\d{1,9}(?:\.0)?", re.ASCII)
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def text(record: Record, field: str) -> str:
    """The text of a field; numbers as text.

    Raises:
        ValueError: it is missing, empty or neither text nor number.

    Example:
        >>> text({"answer": 25.5}, "answer")
        '25.5'
    """
    value = record.get(field)
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        raise ValueError(f"field {field} is empty; it must hold text")
    if not isinstance(value, str | int | float) or not str(value).strip():
        raise ValueError(f"field {field} holds {_shown(value)}; it must hold text")
    return _encodable(str(value).strip(), field)


def untagged(value: str) -> str:
    """The text without the tags that Med-U1's release has around context and question."""
    return _TAGS.sub(" ", value).strip()


def untagged_text(record: Record, field: str) -> str:
    """The text of a field without those tags.

    Raises:
        ValueError: as for `text`, or nothing but tags.
    """
    value = untagged(text(record, field))
    if not value:
        raise ValueError(f"field {field} has nothing between its tags; it must hold text")
    return value


def passages(value: Any, field: str) -> list[str]:
    """The texts of a list.

    Args:
        value: what the field holds.
        field: its name, for messages.

    Raises:
        ValueError: it is no list of texts, or an empty one.

    Example:
        >>> passages(["Ten sailors. ", "All rested."], "context")
        ['Ten sailors.', 'All rested.']
    """
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise ValueError(f"field {field} holds {_shown(value)}; it must be a list of texts, at least one")
    return [_encodable(item.strip(), field) for item in value]


def options(value: Any, field: str) -> Options:
    """(letter, text) pairs of a mapping from letters to texts, or of a list of texts.

    Args:
        value: what the field holds; letters without a text (None, as parquet fills them in) are no options.
        field: its name, for messages.

    Raises:
        ValueError: fewer than two options, one without text, or the same one twice.

    Example:
        >>> options(["yes", "no"], "options")
        (('A', 'yes'), ('B', 'no'))
    """
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) > len(_LETTERS):
            raise ValueError(f"field {field} has {len(value)} options; there are {len(_LETTERS)} letters")
        value = dict(zip(_LETTERS, value, strict=False))
    if not isinstance(value, Mapping):
        raise ValueError(f"field {field} holds {_shown(value)}; it must map letters to options, or list them")
    pairs = tuple(
        (str(letter), _encodable(" ".join(str(item).split()), field))
        for letter, item in value.items()
        if item is not None
    )
    if len(pairs) < 2:
        raise ValueError(f"field {field} has {len(pairs)} options; a question needs at least two")
    letters: dict[str, str] = {}
    for letter, item in pairs:
        if not item:
            raise ValueError(f"field {field} has no text for option {letter}")
        if item in letters:
            raise ValueError(f"field {field} has the same text for options {letters[item]} and {letter}")
        letters[item] = letter
    return pairs


def letter(record: Record, field: str, among: Options) -> str:
    """The letter of the right option.

    Raises:
        ValueError: it is missing or no letter of the options.

    Example:
        >>> letter({"answer_idx": "b"}, "answer_idx", (("A", "yes"), ("B", "no")))
        'B'
    """
    value = text(record, field).upper()
    letters = [letter for letter, _ in among]
    if value not in letters:
        raise ValueError(f"field {field} holds {_shown(value)}; it must be one of the options {', '.join(letters)}")
    return value


def letter_at(record: Record, field: str, among: Options, first: int = 0) -> str:
    """The letter of the right option, which the field gives by its number.

    Args:
        record: the record.
        field: the number's field.
        among: the options.
        first: the number of the first option.

    Raises:
        ValueError: it is missing or no option's number.

    Example:
        >>> letter_at({"cop": 2}, "cop", (("A", "yes"), ("B", "no")), first=1)
        'B'
    """
    number = whole(record, field)
    letters = [letter for letter, _ in among]
    # A letter without an option keeps its number.
    numbered = {place: letter for place, letter in enumerate(_LETTERS, start=first) if letter in letters}
    if number not in numbered:
        raise ValueError(f"field {field} is {number}; the options are numbered {', '.join(map(str, numbered))}")
    return numbered[number]


def whole(record: Record, field: str) -> int:
    """The whole number of a field.

    Raises:
        ValueError: it is missing or no whole number.
    """
    value = text(record, field)
    if not _WHOLE.fullmatch(value):
        raise ValueError(f"field {field} holds {_shown(value)}; it must be a whole number")
    return int(float(value))


def _encodable(value: str, field: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"field {field} has half a character (a lone surrogate), which no file can hold") from None
    return value


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return repr(value) if len(value) == 1 else f"a text of {len(value)} characters"
    return f"a {type(value).__name__}"
