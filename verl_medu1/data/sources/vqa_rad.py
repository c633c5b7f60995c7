"""VQA-RAD: questions of clinicians about radiographs, CT and MR images; closed and open.

Columns on the hub: image, question, answer. The authors' "VQA_RAD Dataset Public.json" has qid, image_name, question,
answer and phrase_type, which is test_freeform or test_para for the rows of the test set; its images are beside it in
"VQA_RAD Image Folder". In both a tab stands where a comma was, and some tabs have the last letter of the word before
them apart: "liver \tsplee n\tand stomach".
"""

import re

from verl_medu1.data.example import Example
from verl_medu1.data.folds import OfficialTest
from verl_medu1.data.images.column import ImageColumns
from verl_medu1.data.records import Record
from verl_medu1.data.sources.about_image import read_about_image
from verl_medu1.data.sources.reader import Hub, Reader, Shape

_TAB = re.compile(r" ([b-z])\t\s*|\s*\t\s*")


def _read(record: Record, row_id: str) -> Example:
    texts = {field: value for field in ("question", "answer") if isinstance(value := record.get(field), str)}
    commas = {field: _TAB.sub(r"\1, ", value) for field, value in texts.items()}
    return read_about_image("VQA-RAD", {**record, **commas}, row_id)


def _in_test(record: Record) -> bool:
    return str(record.get("phrase_type")).startswith("test")


READER = Reader(
    "CC0-1.0",
    (
        Shape("the authors'", ("qid", "image_name", "question", "answer", "phrase_type"), _read, "qid"),
        Shape("the hub's", ("image", "question", "answer"), _read),
    ),
    Hub("flaviagiammarino/vqa-rad", "train"),
    official_test=OfficialTest("the test split of VQA-RAD", splits=("test",)),
    images=ImageColumns(("image", "image_name"), ("VQA_RAD Image Folder", ".")),
    in_test=_in_test,
)
