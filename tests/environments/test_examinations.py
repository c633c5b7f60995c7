"""Examinations: what an order shows, what it costs, and that nothing else is ever shown."""

import asyncio
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_medu1.data.actions import ask_turn
from verl_medu1.data.budget import Budget
from verl_medu1.data.catalogue import listed, read_catalogue
from verl_medu1.data.generated.consultation import DISEASES, FINDINGS, demonstrate, draw_case, make_world
from verl_medu1.data.generated.examinations import examined, orders
from verl_medu1.data.prompts import load_prompts
from verl_medu1.environments.examinations import NEITHER, NO_SUCH, Examinations

CATALOGUE = {
    "Blood count": {"price": 5, "result": "Hb 71 g/l"},
    "CT": {"price": 200.5, "result": "a mass of 3 cm"},
    "CRP": {"price": 0, "result": "high"},
}
CASE = {"examinations": CATALOGUE, "must_ask": {"amavia": ["CT"]}}


def row(case: Any) -> dict[str, Any]:
    environment = json.dumps(case)
    return {"data_source": "quickstart-examinations", "extra_info": {"row_id": "r", "environment": environment}}


def order(name: str) -> str:
    return f"<think>a</think><order>{name}</order>"


def work_up(turns: list[str], case: Any = CASE, **settings: Any) -> tuple[list[str | None], Any]:
    session = Examinations(settings).start(row(case))
    return [asyncio.run(session.step(turn)) for turn in turns], session


@pytest.mark.parametrize(
    ("turn", "reply"),
    [
        (order("Blood count"), "Blood count: Hb 71 g/l"),
        (order(" blood COUNT "), "Blood count: Hb 71 g/l"),
        (order("MRI"), NO_SUCH),
        (order("Blood count, CT"), NO_SUCH),
        (order(""), NEITHER),
        (f"{order('CT')}<order>CRP</order>", NEITHER),
        ("<think><order>CT</order></think>hm", NEITHER),
        (ask_turn("CT"), NEITHER),
        ("", NEITHER),
        ("<think>a</think><answer>amavia</answer>", None),
    ],
)
def test_what_a_turn_shows(turn: str, reply: str | None) -> None:
    assert work_up([turn])[0] == [reply]


def test_what_is_done_costs_once_and_what_is_not_costs_nothing() -> None:
    replies, session = work_up([order("CT"), order("crp"), order("CT"), order("MRI")])
    assert replies == ["CT: a mass of 3 cm", "CRP: high", "CT: a mass of 3 cm", NO_SUCH]
    assert (session.calls, session.invalid) == (3, 1)
    assert session.facts() == {"done": ["CT", "CRP"], "examination_cost": 200.5, "unasked": []}
    assert work_up([])[1].facts() == {"done": [], "examination_cost": 0, "unasked": ["amavia"]}


TURNS = st.one_of(st.text(max_size=30), st.sampled_from([*map(order, [*CATALOGUE, "MRI"]), "<order>CT", "CT?"]))


PRICES = st.lists(st.integers(0, 10**6), min_size=1, max_size=8)


@given(PRICES, st.randoms())
def test_the_same_sum_is_the_same_cost(cents: list[int], rng: random.Random) -> None:
    catalogue = {str(name): {"price": price / 100, "result": "a"} for name, price in enumerate(cents)}
    asked = rng.sample(list(catalogue), len(catalogue))
    _, session = work_up([order(name) for name in asked], {"examinations": catalogue})
    # Not nearly: a penalty spreads the costs of a group from the lowest to the highest.
    assert session.facts()["examination_cost"] == sum(cents) / 100


def test_a_price_is_shown_as_it_is_taken() -> None:
    prices = [1234567, 1234.567, 0.1, 2.50, 0]
    given = {str(name): {"price": price, "result": "a"} for name, price in enumerate(prices)}
    assert listed(read_catalogue(given)) == "Examinations: 0 1234567, 1 1234.567, 2 0.1, 3 2.5, 4 0."


@given(st.lists(TURNS, max_size=6))
def test_a_result_is_shown_for_its_own_order_alone(turns: list[str]) -> None:
    replies, session = work_up(turns)
    facts = session.facts()
    for name, entry in CATALOGUE.items():
        shown = any(str(entry["result"]) in (reply or "") for reply in replies)
        assert shown == (name in facts["done"])
    assert facts["examination_cost"] == sum(CATALOGUE[name]["price"] for name in facts["done"])
    assert len(facts["done"]) <= session.calls <= len(turns)


def test_a_control_shows_no_result_and_costs_the_same() -> None:
    replies, session = work_up([order("CT")], silent=True)
    assert replies == ["CT: not available"] and session.facts()["examination_cost"] == 200.5
    assert session.told("CT: not available") == ""


@pytest.mark.parametrize("settings", [{"silent": 1}, {"index": "a"}])
def test_wrong_settings_are_one_sentence(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^episodes.settings"):
        Examinations(settings)


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ({}, "no examinations"),
        ([], "no attribute|no examinations"),
        ({"examinations": {}}, "no examinations"),
        ({"examinations": {" ": {"price": 1, "result": "a"}}}, "without a name of its own"),
        ({"examinations": {"CT": CATALOGUE["CT"], "ct": CATALOGUE["CT"]}}, "'ct' without a name of its own"),
        ({"examinations": {"CT": {"price": -1, "result": "a"}}}, "'CT' with the price '-1', which is no number"),
        ({"examinations": {"CT": {"price": "5", "result": "a"}}}, "'CT' with the price '5', which is no number"),
        ({"examinations": {"CT": {"price": float("nan"), "result": "a"}}}, "'CT' with the price 'nan'"),
        ({"examinations": {"CT": {"price": 10**400, "result": "a"}}}, "'CT' with the price '1000"),
        ({"examinations": {"CT": {"price": 1e308, "result": "a"}}}, "which is no number from 0 to 1e"),
        ({"examinations": {"CT": {"price": True, "result": "a"}}}, "'CT' with the price 'True'"),
        ({"examinations": {"CT": {"price": 5}}}, "'CT' without a text as its result"),
        ({"examinations": {"CT": "clear"}}, "'CT' with the price 'None'"),
    ],
)
def test_a_row_without_a_catalogue_is_named(case: Any, why: str) -> None:
    with pytest.raises(ValueError, match=rf"^row 'r' has no catalogue in extra_info.environment \(.*({why}).*\); give"):
        work_up([], case)


def test_a_must_ask_names_examinations() -> None:
    with pytest.raises(ValueError, match=r"must_ask with 'MRI', which no question can ask for"):
        work_up([], {**CASE, "must_ask": {"amavia": ["MRI"]}})


def test_generated_patients_are_listed_without_their_results() -> None:
    world, rng = make_world(0), random.Random(0)
    for _ in range(30):
        case = draw_case(world, rng)
        example = examined(case, rng)
        catalogue = read_catalogue(json.loads(example.environment)["examinations"])
        prompt = load_prompts().messages(example, Budget())[-1]["content"]
        assert prompt.startswith(f"Complaint: {FINDINGS[case.complaint]}.\n{listed(catalogue)}\n")
        assert "yes" not in prompt and len(catalogue) == len(FINDINGS) - 1
        turns = orders(demonstrate(world, case, rng))
        session = Examinations({}).start(row(json.loads(example.environment)))
        heard = [asyncio.run(session.step(text)) for role, text in turns if role == "assistant"]
        assert heard == [text for role, text in turns if role == "user"] + [None]
        assert session.invalid == 0 and turns[-1][1].rpartition("<answer>")[2].removesuffix("</answer>") in DISEASES
