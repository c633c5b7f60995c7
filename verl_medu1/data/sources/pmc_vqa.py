"""PMC-VQA: questions with four options about figures of PubMed Central.

Columns of the authors' train.csv and test.csv (version 1): Figure_path, Question, Answer, Choice A to Choice D,
Answer_label. Of train_2.csv and test_2.csv (version 2, figures of one part): index, Figure_path, Question, Choice A to
Choice D, Answer (the letter), split. The images are beside them in images or figures. A choice begins with its letter
("A:Focal uptake"), which the prompt adds anyway. Columns of OctoMed's copy on the hub: id, image, question, options,
answer (a letter, or the text of an option).
"""

import re

from verl_medu1.data.example import Example
from verl_medu1.data.folds import OfficialTest
from verl_medu1.data.images.column import ImageColumns
from verl_medu1.data.records import Record
from verl_medu1.data.sources.fields import LETTERS, FieldError, Options, letter, letter_of, options, text
from verl_medu1.data.sources.reader import Hub, Read, Reader, Shape

_CHOICES = {letter: f"Choice {letter}" for letter in "ABCD"}


def _bare(value: object, letter: str) -> object:
    """Return a choice without its letter."""
    return re.sub(rf"^\s*{letter}\s*[:.)]\s*", "", value) if isinstance(value, str) else value


def _example(record: Record, row_id: str, question: str, gold: str, choices: Options) -> Example:
    return Example("PMC-VQA", row_id, "multiple_choice", text(record, question), gold, choices)


def _reader(answer: str) -> Read:
    def read(record: Record, row_id: str) -> Example:
        bare = {letter: _bare(record.get(column), letter) for letter, column in _CHOICES.items()}
        choices = options(bare, "Choice A to Choice D")
        return _example(record, row_id, "Question", letter(record, answer, choices), choices)

    return read


def _read_copy(record: Record, row_id: str) -> Example:
    given = record.get("options")
    if isinstance(given, list):
        bare = [_bare(value, name) for value, name in zip(given, LETTERS, strict=False)]
        # "A. fumigatus" is a name; only if all begin with their own letter, these are letters.
        if len(bare) == len(given) and all(short != value for short, value in zip(bare, given, strict=True)):
            given = bare
    choices = options(given, "options")
    answer, texts = text(record, "answer"), dict(choices)
    is_letter = answer.upper() in texts
    if is_letter and answer in texts.values() and texts[answer.upper()] != answer:
        raise FieldError("answer", f"holds {answer!r}", "it must not be both a letter and the text of another option")
    gold = letter(record, "answer", choices) if is_letter else letter_of(record, "answer", choices)
    return _example(record, row_id, "question", gold, choices)


def _in_test(record: Record) -> bool:
    return record.get("split") == "test"


READER = Reader(
    "CC-BY-SA-4.0; each figure's own is CC0 or CC-BY",
    (
        Shape("version 1", ("Figure_path", "Question", *_CHOICES.values(), "Answer_label"), _reader("Answer_label")),
        Shape("version 2", ("Figure_path", "Question", *_CHOICES.values(), "Answer"), _reader("Answer"), "index"),
        Shape("OctoMed's copy", ("image", "question", "options", "answer"), _read_copy, "id"),
    ),
    Hub("OctoMed/PMC-VQA", "train"),
    official_test=OfficialTest("the test split of PMC-VQA", splits=("test",)),
    images=ImageColumns(("image", "Figure_path"), ("images", "figures", ".")),
    in_test=_in_test,
)
