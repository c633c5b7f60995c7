"""Our verdicts on MedCalc-Bench's rows are the official evaluator's, except where that one is shown to be wrong."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.real_data import real_file
from verl_medu1.data.example import Example

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "medcalc_agreement.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("medcalc_agreement", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


agreement = load()


def example(gold: str, lower: float | None = None, upper: float | None = None) -> Example:
    return Example("MedCalc-Bench", "1", "calculation", "?", gold, lower_limit=lower, upper_limit=upper)


@pytest.mark.parametrize(
    ("row", "answer", "expected"),
    [
        (example("25", 23.75, 26.25), "24", True),
        (example("25", 23.75, 26.25), "26.26", False),
        (example("25", 23.75, 26.25), "BMI 81 / 1.8 gives 25", True),
        (example("25", 23.75, 26.25), "25 mL/min/1.73 m^2", True),
        (example("0.05", 0.0475, 0.0525), "5%", True),
        (example("3", 3, 3), "3 out of 9", True),
        (example("3", 3, 3), "1, 4, 9", True),  # three items
        (example("3", 3, 3), "2.6", True),
        (example("2", 2, 2), "2.5", True),  # the even neighbour
        (example("3", 3, 3), "N/A", False),
        (example("09/03/2014"), "9/3/2014 (September)", True),
        (example("09/03/2014"), "2/30/2014", False),
        (example("('17 weeks', '6 days')"), "17 weeks 6 days", True),
        (example("('17 weeks', '6 days')"), "17 weeks", False),
    ],
)
def test_the_official_rules_as_stated(row: Example, answer: str, expected: bool) -> None:
    assert agreement.official(answer, row) is expected


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    command = [sys.executable, SCRIPT, real_file("medcalc.json"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_verdicts_are_the_same_where_the_official_one_is_not_wrong(measured: dict[str, Any]) -> None:
    rows = [row for name, row in measured.items() if name not in agreement.OFFICIAL_IS_WRONG]
    total, agree = (sum(row[key] for row in rows) for key in ("answers", "agree"))
    assert total > 20_000
    assert agree / total >= 0.999


def test_where_the_official_one_is_wrong_they_differ(measured: dict[str, Any]) -> None:
    assert set(agreement.OFFICIAL_IS_WRONG) <= set(measured)
    assert all(measured[name]["others"] for name in agreement.OFFICIAL_IS_WRONG)


def test_all_exceptions_are_in_the_documentation(measured: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "scorers.md").read_text(encoding="utf-8")
    assert all(f"| {name} |" in page and reason in page for name, reason in agreement.OFFICIAL_IS_WRONG.items())
