"""The benchmarks' published files that some tests read; docs/data.md says where each comes from."""

import os
from pathlib import Path

import pytest

# A folder beside the checkout, or the one that the variable names.
FOLDER = Path(os.environ.get("MEDU1_TEST_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")


def real_file(name: str) -> Path:
    """A published file by its name there; the test is skipped where it is missing."""
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"{name} is not in {FOLDER}; 'Files that tests read' in docs/data.md says where it comes from")
    return path
