"""Corruptions of gold answers: which are tried, that none is right, and their rates on published rows."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_score import check_gold, compute_score
from reward_score.corruptions import corruptions
from tests.real_data import real_file
from verl_medu1.data.budget import Budget
from verl_medu1.data.corrections import corrected
from verl_medu1.data.counts import Counts
from verl_medu1.data.schema import question_row
from verl_medu1.data.sources import read_source

STATED = {"a denial", "a hedge", "a question", "a rejection"}
CHOICES = {"another option", "another option's text", "the letter with another text", "two options"}
NUMBERS = {"another value", "ten times the value", "the other sign", "a bound", "a range"}
OPTIONS = {"A": "heparin", "B": "aspirin", "C": "one"}
PUBLISHED = {
    "medcalc": "medcalc.json",
    "mediq": "mediq.json",
    "medxpertqa": "medxpertqa.json",
    "pubmedqa": "pubmedqa_ori_pqal.json",
    "medical-o1": "medical_o1.json",
}


def is_right(source: str, answer: str, gold: str, info: dict) -> bool:
    return compute_score(source, f"<think>Because.</think><answer>{answer}</answer>", gold, info)["acc"] == 1.0


@pytest.mark.parametrize(
    ("source", "gold", "info", "kinds"),
    [
        ("MedQA", "B", {"options": OPTIONS}, CHOICES | STATED),
        ("MedQA", "B", {"options": {"A": "Why?", "B": "How?"}}, CHOICES | STATED - {"a question"}),
        ("MedCalc-Bench", "25.2", {"lower_limit": 24, "upper_limit": 26, "unit": None}, NUMBERS | STATED),
        ("MedCalc-Bench", "25.2", {"unit": "mL/min"}, NUMBERS | STATED | {"another unit"}),
        ("MedCalc-Bench", "110", {"unit": "mm Hg"}, NUMBERS | STATED | {"another unit"}),
        ("MedCalc-Bench", "0", {}, NUMBERS - {"ten times the value", "the other sign"} | STATED),
        ("MedCalc-Bench", "09/23/2014", {}, {"another value"} | STATED),
        ("MedCalc-Bench", "('17 weeks', '6 days')", {}, {"another value"} | STATED),
        ("own-open_ended", "Left 2nd rib", {}, {"another number", "something more", "the opposite"} | STATED),
        ("own-open_ended", "Type 2 diabetes", {}, {"another number", "something more"} | STATED),
        ("own-open_ended", " ".join(map(str, range(1000, 1030))), {}, set()),
    ],
)
def test_each_kind_is_tried_and_refused(source: str, gold: str, info: dict, kinds: set[str]) -> None:
    assert check_gold(source, gold, info) is None
    tried = corruptions(source, gold, info)
    assert {kind for kind, _ in tried} == kinds
    assert [(kind, answer) for kind, answer in tried if is_right(source, answer, gold, info)] == []


@given(st.floats(0.01, 1e6).map(lambda value: f"{value:.4g}"), st.sampled_from([None, "mg", "mL/min", "%"]))
def test_no_corruption_of_a_number_is_right(gold: str, unit: str | None) -> None:
    info = {"unit": unit}
    assert not any(
        is_right("MedCalc-Bench", answer, gold, info) for _, answer in corruptions("MedCalc-Bench", gold, info)
    )


def test_no_corruption_of_a_published_answer_is_right() -> None:
    tried: Counter[str] = Counter()
    for name, file in PUBLISHED.items():
        for row in corrected(read_source(name, real_file(file)), Counts(), None):
            info = question_row(row, [], Budget(), "train", 0)["extra_info"]
            for kind, answer in corruptions(row.data_source, row.gold, info):
                tried[kind] += 1
                assert not is_right(row.data_source, answer, row.gold, info), (row.row_id, kind, answer)
    assert tried.keys() >= STATED | CHOICES | NUMBERS and tried.total() > 30_000
