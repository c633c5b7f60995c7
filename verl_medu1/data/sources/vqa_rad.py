"""VQA-RAD: questions of clinicians about radiographs, CT and MR images; closed and open.

Columns on the hub: image, question, answer. The authors' "VQA_RAD Dataset Public.json" has qid, image_name, question,
answer and phrase_type, which is test_freeform or test_para for the rows of the test set; its images are beside it in
"VQA_RAD Image Folder".
"""

from functools import partial

from verl_medu1.data.folds import OfficialTest
from verl_medu1.data.images.column import ImageColumns
from verl_medu1.data.records import Record
from verl_medu1.data.sources.about_image import read_about_image
from verl_medu1.data.sources.reader import Hub, Reader, Shape


def _in_test(record: Record) -> bool:
    return str(record.get("phrase_type")).startswith("test")


_read = partial(read_about_image, "VQA-RAD")
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
