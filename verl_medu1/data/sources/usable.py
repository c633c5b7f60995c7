"""Converts records to examples; counts and reports unusable records, and raises an error if there are many.

Published files have a few unusable records: duplicates of the right option in MedMCQA, a missing answer in another
file. These should not prevent reading the rest. Many of them mean that the file is truncated or not the expected one.
"""

import hashlib
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from verl_medu1.data.example import Example
from verl_medu1.data.images.column import ImageReader
from verl_medu1.data.images.placeholders import placeholder_fault, with_placeholders, without_placeholders
from verl_medu1.data.records import Placed, Record
from verl_medu1.data.sources.fields import FieldError, is_empty, text
from verl_medu1.data.sources.reader import Reader, Shape
from verl_medu1.data.tracking import tracked

MAX_UNUSABLE = 0.05  # default share of a source's records
NUM_TOLD = 10
# Maximum number of distinct reasons; readers of other packages may put anything into theirs.
_NUM_REASONS = 20


@dataclass(frozen=True)
class Usable:
    """The usable records of a source.

    Attributes:
        examples: one per usable record, in order.
        unusable: reason why records are unusable -> number of records.
        release: the published form that was read.
        others: description of records that the source leaves out -> their number.
        official: row_id of the examples that the records themselves assign to a benchmark's test set.
    """

    examples: list[Example]
    unusable: Mapping[str, int]
    release: str
    others: Mapping[str, int]
    official: frozenset[str] = frozenset()


def read_usable(
    title: str,
    origin: str,
    reader: Reader,
    placed: Sequence[Placed],
    max_unusable: float = MAX_UNUSABLE,
    form: str | None = None,
    images: ImageReader | None = None,
) -> Usable:
    """Convert a source's records to examples.

    The first ten unusable records are listed on stderr with place and field, without their texts. If two records have
    the same id, only the first is used. If two wrong options of a question have the same text, the second is dropped;
    the others keep their letters, to agree with published answers.

    Args:
        title: prefix of the row ids.
        origin: prefix of messages, such as "medqa=file.json".
        reader: the source's reader.
        placed: the records with their places.
        max_unusable: the largest share of the source's records that may be unusable.
        form: name of the published form, if the user states it.
        images: reads the records' images, if the source has any.

    Raises:
        ValueError: no record belongs to this source, they have other columns, or too many are unusable.

    Example:
        >>> from verl_medu1.data.sources import READERS
        >>> record = {"question": "Which?", "options": ["this", "that", "that"], "answer_idx": "A"}
        >>> read_usable("medqa", "a.json", READERS["medqa"], [("record 0", record)]).examples[0].options
        (('A', 'this'), ('B', 'that'))
    """
    kept = [(number, place, record) for number, (place, record) in enumerate(placed) if reader.keep(record)]
    if not kept:
        raise ValueError(f"{origin}: none of its {len(placed)} records has {reader.keeps}; give a file that has some.")
    try:
        shape = reader.shape_of([record for _, _, record in kept], form)
    except ValueError as error:
        raise ValueError(f"{origin}: {error}.") from None
    examples: list[Example] = []
    errors: list[tuple[str, ValueError]] = []
    places: dict[str, str] = {}
    official: set[str] = set()
    for number, place, record in tracked(kept, "reading images") if images else kept:
        try:
            row_id = f"{title}/{_own_id(record, shape, number)}"
            example = _with_each_option_once(shape.read(record, row_id))
            example = _showable(_with_images(example, images.read(record)) if images else example)
            if row_id in places:
                needed = "each record needs an id of its own"
                raise FieldError(str(shape.record_id), f"is that of {places[row_id]} too", needed)
            examples.append(example)
            places[row_id] = place
            if reader.in_test and reader.in_test(record):
                official.add(row_id)
        except ValueError as error:
            errors.append((place, error))
    if len(errors) > max_unusable * len(kept):
        place, first = errors[0]
        raise ValueError(
            f"{origin}, {place}: {first} ({len(errors)} of {len(kept)} records can't be used; fix the file, or raise "
            f"--max-unusable, which is {max_unusable:g})."
        )
    for line in _told(origin, errors):
        print(line, file=sys.stderr)
    reasons = Counter(getattr(error, "reason", str(error)) for _, error in errors)
    left_out = len(placed) - len(kept)
    others = {f"not {reader.keeps}": left_out} if left_out else {}
    return Usable(examples, _few(reasons), shape.release, others, frozenset(official))


def _own_id(record: Record, shape: Shape, number: int) -> str:
    """Return the record's id as text, or else its number."""
    value = record.get(shape.record_id) if shape.record_id else None
    if is_empty(value):
        return str(number)
    if isinstance(value, float) and value.is_integer():
        # A column with gaps is read as floats.
        return str(int(value))
    return text(record, str(shape.record_id))


def _with_each_option_once(example: Example) -> Example:
    first: dict[str, str] = {}
    for letter, option in example.options:
        if first.setdefault(option, letter) != letter and example.gold in (letter, first[option]):
            raise ValueError(f"options {first[option]} and {letter} have the same text, and one of them is right")
    if len(first) == len(example.options):
        return example
    if len(first) < 2:
        raise ValueError("all options have the same text")
    return replace(example, options=tuple((letter, option) for option, letter in first.items()))


def _with_images(example: Example, images: tuple[bytes, ...]) -> Example:
    """Add images to an example. Questions about the same image are a group, which is never on both sides of a split."""
    if not images:
        return example
    group = example.group or hashlib.sha256(b"".join(images)).hexdigest()
    return replace(example, images=images, group=group)


def _showable(example: Example) -> Example:
    if not without_placeholders(example.question).strip():
        raise ValueError("its question has no words")
    question = with_placeholders(example.question, len(example.images))
    texts = [question, *(option for _, option in example.options), example.gold, example.reasoning]
    if fault := placeholder_fault(texts, len(example.images)):
        raise ValueError(fault)
    return example


def _told(origin: str, errors: Sequence[tuple[str, ValueError]]) -> Iterator[str]:
    for place, error in errors[:NUM_TOLD]:
        yield f"left out: {origin}, {place}: {error}"
    if len(errors) > NUM_TOLD:
        yield f"left out: {origin}: {len(errors) - NUM_TOLD} more records"


def _few(reasons: Counter[str]) -> dict[str, int]:
    few = dict(reasons.most_common(_NUM_REASONS))
    others = reasons.total() - sum(few.values())
    return few | ({"other reasons": others} if others else {})
