"""Which tests `make check` runs."""

from pathlib import Path

import pytest

from tests.of_changes import affected

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (["verl_medu1/length/penalties.py"], ["tests/length/test_penalties.py"]),
        (["reward_score/multiple_choice.py"], ["tests/reward_score/test_multiple_choice.py"]),
        # Without a test of its name, all of its room.
        (["verl_medu1/training/trainer.py"], ["tests/training"]),
        (["tests/length/test_penalties.py"], ["tests/length/test_penalties.py"]),
        # No code, a file that is gone, helpers of tests, what has no room, and what starts the real stack.
        (["README.md", "verl_medu1/config/medu1.yaml", "verl_medu1/length/gone.py", "tests/conftest.py"], []),
        (["verl_medu1/exit.py"], ["tests/test_exit.py"]),
        (["setup.py", "benchmarks/measure.py", "tests/e2e/test_faults.py"], []),
    ],
)
def test_tests_of_changed_files(changed: list[str], expected: list[str]) -> None:
    assert affected(changed, ROOT) == expected


def test_every_room_has_tests() -> None:
    rooms = sorted(path.parent.name for path in (ROOT / "verl_medu1").glob("*/__init__.py"))
    without = [name for name in rooms if not affected([f"verl_medu1/{name}/__init__.py"], ROOT)]
    assert without == ["cli", "cluster"]  # tests/slurm and tests/cluster start what they test
