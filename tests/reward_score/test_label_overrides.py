"""Corrections of published labels: each is proven here, from the numbers that its row states."""

import json
import re
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from reward_score.label_overrides import SHIPPED, find_override, read_overrides, shipped_overrides
from tests.real_data import real_file

LMP = re.compile(r"(?:last menstrual period was on|due date =) (\d\d/\d\d/\d{4})")
CYCLE = re.compile(r"(?:Her cycle length is|a cycle of) (\d+) days")


def day(text: str) -> date:
    return datetime.strptime(text, "%m/%d/%Y").date()


def due_date(text: str) -> date:
    """Naegele's rule: 280 days after the last menstrual period, corrected by what the cycle differs from 28 days."""
    period, cycle = LMP.search(text), CYCLE.search(text)
    assert period and cycle
    return day(period[1]) + timedelta(days=280 + int(cycle[1]) - 28)


def test_each_shipped_correction_follows_from_its_reason() -> None:
    assert len(shipped_overrides()) == 15
    for override in shipped_overrides().values():
        cycle = CYCLE.search(override.reason)
        assert cycle and int(cycle[1]) < 28
        assert due_date(override.reason) == day(override.corrected)
        # The published label has the correction with the wrong sign.
        assert day(override.published) - day(override.corrected) == timedelta(days=2 * (28 - int(cycle[1])))


def test_the_shipped_corrections_are_all_the_wrong_due_dates_of_the_benchmark() -> None:
    rows = [row for row in json.loads(real_file("medcalc.json").read_text()) if "due date" in row["problem"]]
    wrong = {str(row["id"]): row for row in rows if due_date(row["problem"]) != day(row["answer"])}
    assert {row_id for _, row_id in shipped_overrides()} == wrong.keys()
    for (source, row_id), override in shipped_overrides().items():
        assert find_override(shipped_overrides(), source, row_id, wrong[row_id]["answer"]) is override
        assert due_date(wrong[row_id]["problem"]) == day(override.corrected)


def test_a_row_whose_gold_is_another_one_is_left_alone() -> None:
    overrides = shipped_overrides()
    assert find_override(overrides, "MedCalc-Bench", "928", " 09/23/2014\n") is not None
    assert find_override(overrides, "MedCalc-Bench", "928", "09/11/2014") is None
    assert find_override(overrides, "MedQA", "928", "09/23/2014") is None


HEADER = "data_source,row_id,published,corrected,reason\n"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"row_id,corrected\n1,2\n", "the first line must be data_source,row_id"),
        ((HEADER + "MedQA,1,A\n").encode(), "line 2: must have 5 columns"),
        ((HEADER + "MedQA,1,A,B,x,y\n").encode(), "line 2: must have 5 columns"),
        ((HEADER + "MedQA,1,A,B,\n").encode(), "line 2: only corrected may be empty"),
        ((HEADER + "MedQA,1,A,B,x\nMedQA,1,A,C,y\n").encode(), "line 3: MedQA 1 stands there twice"),
        (HEADER.encode() + b"MedQA,1,A,B,caf\xe9\n", "can't be read as CSV in UTF-8"),
        (None, "can't be read"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    file = tmp_path / "mine.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValueError, match=sentence) as error:
        read_overrides(file)
    assert str(error.value).startswith(str(file))


def test_the_shipped_file_is_sorted_and_in_utf8() -> None:
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()[1:]
    assert lines == sorted(lines)
