"""PathVQA: questions about pictures of pathology from textbooks; closed and open.

Columns on the hub: image, question, answer. The authors' own files are pickles, which can run code when they are read,
and so are not.
"""

from functools import partial

from verl_medu1.data.folds import OfficialTest
from verl_medu1.data.images.column import ImageColumns
from verl_medu1.data.sources.about_image import read_about_image
from verl_medu1.data.sources.reader import Hub, Reader, Shape

READER = Reader(
    "MIT",
    (Shape("the hub's", ("image", "question", "answer"), partial(read_about_image, "PathVQA")),),
    Hub("flaviagiammarino/path-vqa", "train"),
    official_test=OfficialTest("the test split of PathVQA", splits=("test",)),
    images=ImageColumns(("image",)),
)
