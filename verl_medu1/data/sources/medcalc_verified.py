"""MedCalc-Bench-Verified: MedCalc-Bench with re-checked labels, in the official columns of MedCalc-Bench."""

from verl_medu1.data.folds import OfficialTest
from verl_medu1.data.sources.medcalc import SHAPES
from verl_medu1.data.sources.reader import Hub, Reader

READER = Reader(
    "CC-BY-SA-4.0",
    SHAPES[:1],
    Hub("nsk7153/MedCalc-Bench-Verified", "train"),
    official_test=OfficialTest("the test split of MedCalc-Bench-Verified", splits=("test",)),
)
