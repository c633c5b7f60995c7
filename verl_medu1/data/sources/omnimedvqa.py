"""OmniMedVQA, open-access part: two to four options about images of 42 data sets of many kinds.

Columns of the files in OmniMedVQA/QA_information/Open-access: question_id, question, gt_answer (the text of an option),
option_A to option_D (some have fewer), image_path (below OmniMedVQA, such as Images/ACRIMA/Im553_g_ACRIMA.png).
"""

from verl_medu1.data.example import Example
from verl_medu1.data.folds import OfficialTest
from verl_medu1.data.images.column import ImageColumns
from verl_medu1.data.records import Record
from verl_medu1.data.sources.fields import is_empty, letter_of, options, text
from verl_medu1.data.sources.reader import Reader, Shape

_CHOICES = {letter: f"option_{letter}" for letter in "ABCD"}


def _read(record: Record, row_id: str) -> Example:
    given = {name: value for name, column in _CHOICES.items() if not is_empty(value := record.get(column))}
    choices = options(given, "option_A to option_D")
    gold = letter_of(record, "gt_answer", choices)
    return Example("OmniMedVQA", row_id, "multiple_choice", text(record, "question"), gold, choices)


READER = Reader(
    "that of each image's data set; OmniMedVQA's page lists them",
    (Shape("official", ("question", "gt_answer", "image_path", "option_A", "option_B"), _read, "question_id"),),
    official_test=OfficialTest("OmniMedVQA, which publishes no rows to train on", every_row=True),
    images=ImageColumns(("image_path",), below="QA_information/Open-access"),
)
