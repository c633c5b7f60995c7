"""SLAKE: questions about radiographs, CT and MR images; closed and open, those in English.

Columns of the authors' train.json, validate.json and test.json: qid, img_name (such as xmlab0/source.jpg), question,
answer, q_lang; the images are beside them in imgs. Columns on the hub, in English alone: image, question, answer.
"""

from functools import partial

from verl_medu1.data.folds import OfficialTest
from verl_medu1.data.images.column import ImageColumns
from verl_medu1.data.records import Record
from verl_medu1.data.sources.about_image import read_about_image
from verl_medu1.data.sources.reader import Hub, Reader, Shape


def _is_english(record: Record) -> bool:
    return record.get("q_lang", "en") == "en"


_read = partial(read_about_image, "SLAKE")
READER = Reader(
    "CC-BY-4.0",
    (
        Shape("the authors'", ("qid", "img_name", "question", "answer", "q_lang"), _read, "qid"),
        Shape("the hub's", ("image", "question", "answer"), _read, "qid"),
    ),
    Hub("mdwiratathya/SLAKE-vqa-english", "train"),
    keep=_is_english,
    keeps="q_lang en",
    official_test=OfficialTest("the test split of SLAKE", splits=("test",)),
    images=ImageColumns(("image", "img_name"), ("imgs", ".")),
)
