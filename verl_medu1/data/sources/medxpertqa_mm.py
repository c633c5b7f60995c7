"""MedXpertQA-MM: five options and one to six images, whose files are in the images.zip of the publishers.

Columns as published, in files and on the hub: id, question (with its options, which are removed there), options, label,
images (names of files). The images are beside the file or above it in a folder images; for `=hub` the user says where.
"""

from verl_medu1.data.folds import OfficialTest
from verl_medu1.data.images.column import ImageColumns
from verl_medu1.data.sources.medxpertqa import read_official
from verl_medu1.data.sources.reader import Hub, Reader, Shape

READER = Reader(
    "MIT",
    (Shape("official", ("question", "options", "label", "images"), read_official("MedXpertQA-MM"), "id"),),
    Hub("TsinghuaC3I/MedXpertQA", "test", "MM"),
    official_test=OfficialTest("MedXpertQA-MM, which publishes no rows to train on", every_row=True),
    images=ImageColumns(("images",), ("images", "../images", ".")),
)
