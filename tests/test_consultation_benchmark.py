"""benchmarks/consultation_gap.py: how good a consultation was, on dialogues by hand and by known policies."""

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from benchmarks.consultation_gap import Measured, gap_closed, measure, read_case, transferred
from verl_medu1.data.actions import ask_turn
from verl_medu1.data.generated.consultation import DISEASES, FINDINGS, Answers, Case, World, draw_case, make_world
from verl_medu1.data.generated.consultation_files import prepare_consultation
from verl_medu1.data.generated.prepare import PROMPTS_FILE
from verl_medu1.data.prompts import load_prompts
from verl_medu1.environments.consultation import Consultation

WORLD = make_world(0)


def hold(world: World, case: Case, asks: Callable[[Answers, int], int | None]) -> Measured:
    """A consultation with the environment's patient, by a policy that reads the answers exactly."""
    patient = Consultation({}).start({"extra_info": {"environment": case.example().environment}})
    answers: Answers = ((case.complaint, True),)
    for left in range(case.budget, 0, -1):
        finding = asks(answers, left)
        if finding is None:
            break
        reply = asyncio.run(patient.step(ask_turn(FINDINGS[finding])))
        answers = tuple(sorted((*answers, (finding, reply == "yes"))))
    beliefs = world.posterior(answers)
    named = DISEASES[beliefs.index(max(beliefs))]
    return measure(world, case, {"pred": named, "facts": json.dumps(patient.facts())})


def cases(number: int) -> list[Case]:
    rng = random.Random(3)
    return [replace(draw_case(WORLD, rng), budget=rng.randint(1, 3)) for _ in range(number)]


def test_the_best_policy_closes_the_gap_and_asks_best_questions_alone() -> None:
    found = [hold(WORLD, case, WORLD.question) for case in cases(400)]
    assert all(all(one.best) and one.asked <= one.budget for one in found)
    assert gap_closed([[one] for one in found], "expected").value == pytest.approx(1.0, abs=0.08)
    low, high = gap_closed([[one] for one in found])[1:]
    assert low < 1.0 < high


def any_unknown(rng: random.Random, answers: Answers, left: int) -> int:
    return rng.choice([finding for finding in range(len(FINDINGS)) if finding not in dict(answers)])


def test_who_asks_for_anything_closes_what_that_is_worth() -> None:
    asks = partial(any_unknown, random.Random(4))
    found = [hold(WORLD, case, asks) for case in cases(1000)]
    assert gap_closed([[one] for one in found], "expected", "unguided").value == pytest.approx(0.0, abs=0.1)
    flags = [flag for one in found for flag in one.best]
    chances = [chance for one in found for chance in one.by_chance]
    assert sum(flags) / len(flags) == pytest.approx(sum(chances) / len(chances), abs=0.05)


def test_who_asks_nothing_closes_nothing() -> None:
    found = [hold(WORLD, case, lambda answers, left: None) for case in cases(400)]
    assert gap_closed([[one] for one in found], "expected").value == pytest.approx(0.0)
    assert all(one.expected == one.guess and one.asked == 0 for one in found)


(CASE,) = cases(1)
KNOWN = ((CASE.complaint, True),)
(OTHER, *_) = [finding for finding in range(len(FINDINGS)) if finding != CASE.complaint]


def measured(asked: list[str], named: str = DISEASES[CASE.disease], **more: Any) -> Measured:
    return measure(WORLD, CASE, {"pred": named, "facts": json.dumps({"asked": asked})}, **more)


def test_only_what_was_heard_counts() -> None:
    heard = WORLD.posterior(tuple(sorted((*KNOWN, (OTHER, CASE.findings[OTHER])))))[CASE.disease]
    nothing = WORLD.posterior(KNOWN)[CASE.disease]
    assert measured([FINDINGS[OTHER]]).expected == pytest.approx(heard)
    assert measured([FINDINGS[OTHER]] * 2).expected == pytest.approx(heard)
    assert measured([]).expected == measured(["age"]).expected == pytest.approx(nothing)
    assert measured([FINDINGS[OTHER]], silent=True).expected == pytest.approx(nothing)


def test_questions_that_do_not_matter_are_no_best_ones() -> None:
    world = World((0.5, 0.5), ((0.5,) * 12, (0.5,) * 12))
    case = Case(0, (True,) * 12, 0, 2)
    found = measure(world, case, {"pred": "amavia", "facts": json.dumps({"asked": ["cough", "rash"]})})
    assert (found.asked, found.best, found.by_chance) == (2, (), ())


def test_a_question_that_tells_nothing_is_no_best_one() -> None:
    assert measured([FINDINGS[CASE.complaint], "age"]).best == (False, False)


def test_another_diagnosis_is_wrong_and_one_that_is_none_has_no_chance() -> None:
    assert measured([]).right and not measured([], DISEASES[CASE.disease - 1]).right
    assert (measured([], "flu").right, measured([], "flu").expected) == (False, 0.0)


def test_the_share_of_a_gap() -> None:
    one, other = Measured(1, True, 0.5, 0.2, 0.4, 0.7, 0, (), ()), Measured(1, False, 0.2, 0.2, 0.4, 0.6, 0, (), ())
    assert gap_closed([[one, one]], "expected") == pytest.approx((0.6, 0.6, 0.6))
    assert gap_closed([[one]], "expected", "unguided").value == pytest.approx(1 / 3)
    value, low, high = gap_closed([[one, other], [other, other]] * 50, "expected")
    assert value == pytest.approx(0.15 / (0.5 + 0.4)) and value - 0.1 < low < value < high < value + 0.1


def test_a_prior_that_is_not_known_costs_something() -> None:
    other = make_world(0, skewed=True)
    for finding in range(len(FINDINGS)):
        start = ((finding, True),)
        assert transferred(WORLD, WORLD, start, 2) == pytest.approx(WORLD.value(start, 2))
        assert transferred(WORLD, other, start, 2) <= other.value(start, 2) + 1e-12


def test_cases_are_read_back(tmp_path: Path) -> None:
    prepare_consultation(tmp_path, load_prompts(PROMPTS_FILE), 50, 1, 0)
    for row in pq.read_table(tmp_path / "train.parquet").to_pylist():
        case = read_case(row).example()
        assert (case.environment, case.gold) == (row["extra_info"]["environment"], row["reward_model"]["ground_truth"])
        assert case.question == row["extra_info"]["question"]
    with pytest.raises(ValueError, match="states no complaint"):
        read_case({"extra_info": {"question": "Which?"}})
