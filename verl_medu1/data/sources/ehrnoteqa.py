"""EHRNoteQA: questions about a patient's discharge notes, from the user's own credentialed copy only.

Columns of the file that the benchmark's own preprocessing writes (it joins EHRNoteQA with MIMIC-IV-Note): patient_id,
question, choice_A to choice_E, answer, note_1 and, if there are more notes, note_2 and note_3. Without the notes the
answers can only be guessed. The content of a record, including the patient's number, goes nowhere but into the prompt.
"""

from verl_medu1.data.example import Example
from verl_medu1.data.folds import OfficialTest
from verl_medu1.data.records import Record
from verl_medu1.data.sources.fields import is_empty, letter, options, text
from verl_medu1.data.sources.reader import Reader, Shape

_CHOICES = {letter: f"choice_{letter}" for letter in "ABCDE"}


def _read(record: Record, row_id: str) -> Example:
    choices = options({letter: record.get(column) for letter, column in _CHOICES.items()}, "choice_A to choice_E")
    others = [name for name in ("note_2", "note_3") if not is_empty(record.get(name))]
    notes = [text(record, name) for name in ("note_1", *others)]
    return Example(
        "EHRNoteQA",
        row_id,
        "multiple_choice",
        "\n\n".join([*notes, text(record, "question")]),
        letter(record, "answer", choices),
        choices,
        group=text(record, "patient_id"),
    )


READER = Reader(
    "PhysioNet Credentialed Health Data License 1.5.0: never stored, logged or shipped",
    (Shape("its own preprocessing", ("patient_id", "question", *_CHOICES.values(), "answer", "note_1"), _read),),
    credentialed=True,
    official_test=OfficialTest("EHRNoteQA, which publishes no rows to train on", every_row=True),
)
