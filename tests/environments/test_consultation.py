"""Consultations: what a patient tells, how often, and what is no question."""

import asyncio
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_score import compute_score
from reward_score.response import format_response
from verl_medu1.data.actions import ask_turn
from verl_medu1.data.generated.consultation import DISEASES, FINDINGS, demonstrate, draw_case, make_world
from verl_medu1.environments.consultation import Consultation


def row(**case: Any) -> dict[str, Any]:
    return {"extra_info": {"row_id": "r", "environment": json.dumps(case)}}


PATIENT = row(findings={"fever": True, "Cough": False}, budget=2)
MORE = "No more questions: give the answer."


def said(turns: list[str], **settings: Any) -> tuple[list[str | None], Any]:
    patient = Consultation(settings).start(PATIENT)
    return [asyncio.run(patient.step(turn)) for turn in turns], patient


@pytest.mark.parametrize(
    ("turn", "reply"),
    [
        (ask_turn("fever"), "yes"),
        ("<think>a</think><ask> FEVER </ask>", "yes"),
        (ask_turn("cough"), "no"),
        (ask_turn("rash"), "unknown"),
        ("<think>a</think><ask></ask>", "Ask one question, or give the answer."),
        ("<think>a</think><ask>fever</ask><ask>cough</ask>", "Ask one question, or give the answer."),
        ("<think><ask>fever</ask></think>hm", "Ask one question, or give the answer."),
        ("", "Ask one question, or give the answer."),
        ("<think>a</think><answer>flu</answer>", None),
        ("<think>a</think><answer>flu", None),
    ],
)
def test_what_a_patient_says(turn: str, reply: str | None) -> None:
    assert said([turn])[0] == [reply]


def test_there_are_so_many_questions_and_no_more() -> None:
    replies, patient = said([ask_turn("fever"), ask_turn("rash"), ask_turn("cough"), ask_turn("cough")])
    assert replies == ["yes", "unknown", MORE, MORE]
    assert (patient.calls, patient.invalid) == (2, 2)
    assert patient.facts() == {"asked": ["fever", "rash"], "budget": 2}


def test_a_silent_patient_knows_nothing() -> None:
    assert said([ask_turn("fever")], silent=True)[0] == ["unknown"]


@pytest.mark.parametrize("settings", [{"silent": 1}, {"quiet": True}, {"base_url": "127.0.0.1:8000", "model": "m"}])
def test_wrong_settings_are_one_sentence(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^episodes.settings"):
        Consultation(settings)


WITHOUT_NUMBER = json.dumps({"findings": {}, "budget": "some"})


@pytest.mark.parametrize(
    "extra_info",
    [
        {},
        {"environment": None},
        {"environment": "{"},
        {"environment": "[]"},
        {"environment": WITHOUT_NUMBER},
        {"environment": json.dumps({"budget": 1})},
        {"environment": json.dumps({"budget": 1, "facts": ["Fever."]})},
        {"environment": json.dumps({"budget": 1, "facts": None, "names": []})},
        # Not letter by letter, and the text "no" is not true.
        {"environment": json.dumps({"budget": 1, "facts": "Fever.", "names": []})},
        {"environment": json.dumps({"budget": 1, "facts": ["Fever."], "names": "flu"})},
        {"environment": json.dumps({"budget": 1, "findings": {"fever": "no"}})},
        {"environment": json.dumps({"budget": 1, "findings": {"fever": True, "Fever ": False}})},
        {"environment": json.dumps({"budget": -1, "findings": {"fever": True}})},
        {"environment": json.dumps({"budget": 1e999, "findings": {"fever": True}})},
        {"environment": json.dumps({"budget": True, "findings": {"fever": True}})},
        {"environment": "[" * 200_000},
    ],
)
def test_a_row_without_a_patient_is_named(extra_info: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"row 'r' has no patient in extra_info.environment"):
        Consultation({}).start({"extra_info": {"row_id": "r", **extra_info}})


def test_demonstrations_say_what_the_patient_says() -> None:
    world, rng = make_world(0), random.Random(0)
    for _ in range(50):
        case = draw_case(world, rng)
        turns = demonstrate(world, case, rng)
        patient = Consultation({}).start({"extra_info": {"environment": case.example().environment}})
        heard = [asyncio.run(patient.step(text)) for role, text in turns if role == "assistant"]
        assert heard == [text for role, text in turns if role == "user"] + [None]
        assert patient.invalid == 0 and len(turns) <= 2 * case.budget + 1
        # Each turn begins with what was heard last and the likeliest diseases; the last one names the first of them.
        # One that considers findings asks for one of them.
        said, open_ones = f"{FINDINGS[case.complaint]} yes", set(FINDINGS) - {FINDINGS[case.complaint]}
        for (_, text), reply, asked in zip(turns[::2], heard, [*patient.facts()["asked"], ""], strict=True):
            thought, colon, rest = text.partition("</think>")[0].partition(": ")
            named, _, findings = rest.partition("; ")
            diseases = list(DISEASES) if named == "any" else named.split()
            assert (thought, colon) == (f"<think>{said}", ": ")
            assert set(diseases) <= set(DISEASES) and set(findings.split()) <= open_ones
            assert not findings or asked in findings.split()
            said, open_ones = f"{asked} {reply}", open_ones - {asked}
        assert turns[-1][1].endswith(f"<answer>{diseases[0]}</answer>")

        told = dict(zip(patient.facts()["asked"], heard, strict=False)) | {FINDINGS[case.complaint]: "yes"}
        known = tuple(sorted((FINDINGS.index(name), reply == "yes") for name, reply in told.items()))
        beliefs = world.posterior(known)
        assert all(beliefs[DISEASES.index(name)] == pytest.approx(max(beliefs)) for name in diseases)


@given(st.lists(st.sampled_from([ask_turn("fever"), ask_turn("cough"), "hm"]), max_size=4), st.sampled_from("ab"))
def test_asking_more_earns_nothing(turns: list[str], answer: str) -> None:
    """The reward is for the last turn alone: it is the same after any questions, and none is paid by itself."""
    _, patient = said(turns)
    last = format_response("r", {"a": "amavia", "b": "borelis"}[answer])
    rewards = [
        compute_score("quickstart-consultation", last, "amavia", {"facts": facts})["score"]
        for facts in (patient.facts(), {"asked": [], "budget": 2})
    ]
    assert rewards == [float(answer == "a")] * 2
    for turn in turns:
        assert compute_score("quickstart-consultation", turn, "amavia", {"facts": patient.facts()})["score"] == 0.0
