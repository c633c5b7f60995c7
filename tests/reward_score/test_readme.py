"""The calls in reward_score/README.md give what the page says."""

import doctest
from pathlib import Path

PAGE = Path(__file__).parents[2] / "reward_score" / "README.md"


def test_the_calls_of_the_readme_run():
    failed, attempted = doctest.testfile(str(PAGE), module_relative=False)
    assert attempted >= 8 and failed == 0
