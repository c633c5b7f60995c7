"""Must-not-miss diagnoses: what counts as asked, what is a mistake, and what an answer then costs."""

import asyncio
import json
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from reward_score.must_ask import excludes_unasked
from verl_medu1.data.actions import ask_turn
from verl_medu1.environments.consultation import Consultation
from verl_medu1.environments.must_ask import MustAsk
from verl_medu1.training.constraints import Constraints

SOURCE = "quickstart-consultation"
MUST = {"amavia": ["fever", "rash"], "borelis": ["cough"]}
TABLE = {"findings": {"Fever": True, "rash": False, "cough": False}, "budget": 3}
SPEAKS = {"facts": ["She is 5 years old."], "names": [], "budget": 3}


def row(**case: Any) -> dict[str, Any]:
    return {"data_source": SOURCE, "extra_info": {"row_id": "r", "environment": json.dumps(case)}}


@pytest.mark.parametrize(
    ("case", "questions", "unasked"),
    [
        (TABLE, [], ["amavia", "borelis"]),
        (TABLE, ["FEVER"], ["borelis"]),
        (TABLE, ["rash", "rash"], ["borelis"]),
        (TABLE, ["rash", "cough"], []),
        # A table answers nothing but a name, so that naming them all asks for none.
        (TABLE, ["fever rash cough"], ["amavia", "borelis"]),
        (SPEAKS, ["Is there a fever or a RASH?"], ["borelis"]),
        # A name of up to five letters is a word of its own, a longer one may begin a word.
        (SPEAKS, ["What about coughs?", "any r-a-s-h"], ["borelis"]),
        (SPEAKS, ["Feverish?"], ["amavia", "borelis"]),
        (SPEAKS, ["How are you?"], ["amavia", "borelis"]),
    ],
)
def test_what_counts_as_asked(case: dict[str, Any], questions: list[str], unasked: list[str]) -> None:
    assert MustAsk(row(), {**case, "must_ask": MUST}).unasked(questions) == unasked
    assert MustAsk(row(), case).unasked(questions) == [] and not MustAsk(row(), case)


@pytest.mark.parametrize(
    ("must_ask", "sentence"),
    [
        (["amavia"], "has a must_ask that can't be read; give diagnoses"),
        ({"amavia": "fever"}, "has a must_ask that can't be read"),
        ({"amavia": []}, "has a must_ask that can't be read"),
        ({"amavia": [1]}, "has a must_ask that can't be read"),
        ({"": ["fever"]}, "has a must_ask for '', which is no answer to its question"),
        ({"amavia": ["tremor"]}, "has a must_ask with 'tremor', which no question can ask for"),
        ({"amavia": ["fever", " "]}, "has a must_ask with ' ', which no question can ask for"),
    ],
)
def test_a_mistake_is_one_sentence(must_ask: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^row 'r' {sentence}"):
        Consultation({}).start(row(**TABLE, must_ask=must_ask))


def test_spaces_around_the_name_of_a_finding_mean_nothing() -> None:
    case = {"findings": {" Fever ": True}, "budget": 1, "must_ask": {"amavia": ["fever "]}}
    session = Consultation({}).start(row(**case))
    assert asyncio.run(session.step(ask_turn("fever"))) == "yes" and session.facts()["unasked"] == []


def test_what_no_question_can_have_is_refused_where_a_patient_speaks() -> None:
    with pytest.raises(ValueError, match=r"'5', which no question can ask for; .* a word of two letters"):
        MustAsk(row(), {**SPEAKS, "must_ask": {"amavia": ["5"]}})
    choice = {"data_source": "MedIQ", "extra_info": {"row_id": "r", "options": {"A": "flu", "B": "cold"}}}
    with pytest.raises(ValueError, match=r"for 'flu', which is no answer .*not a letter of the options"):
        MustAsk(choice, {**SPEAKS, "must_ask": {"flu": ["fever"]}})


def consult(*turns: str, **settings: Any) -> Any:
    session = Consultation(settings).start(row(**TABLE, must_ask=MUST))
    for turn in turns:
        asyncio.run(session.step(turn))
    return session.facts()


def test_a_question_too_many_or_inside_the_reasoning_is_none() -> None:
    asked = [ask_turn("rash")] * 3
    assert consult(*asked, ask_turn("cough"))["unasked"] == ["borelis"]
    assert consult("<think><ask>cough</ask></think>hm", *asked)["unasked"] == ["borelis"]
    # A patient who knows nothing was asked all the same.
    assert consult(ask_turn("rash"), ask_turn("cough"), silent=True)["unasked"] == []
    assert "unasked" not in Consultation({}).start(row(**TABLE)).facts()


SAID = "<think>a</think><answer>{}</answer>"


@pytest.mark.parametrize(
    ("response", "unasked", "violates"),
    [
        (SAID.format("cintora"), ["amavia"], True),
        (SAID.format("Amavia"), ["amavia"], False),
        (SAID.format("amavia"), ["amavia", "borelis"], True),
        (SAID.format("cintora"), [], False),
        # Another wording of the gold is not the diagnosis.
        (SAID.format("other"), ["amavia"], True),
        # Nothing is excluded by who answers nothing.
        (ask_turn("rash"), ["amavia"], False),
        ("", ["amavia"], False),
        (SAID.format(""), ["amavia"], False),
    ],
)
def test_which_answers_exclude(response: str, unasked: list[str], violates: bool) -> None:
    info = {"aliases": ["other"], "facts": {"unasked": unasked}}
    assert excludes_unasked(SOURCE, response, info, {"unasked": unasked}) == violates


def test_a_right_answer_in_other_words_does_not_exclude_the_gold() -> None:
    response, info = SAID.format("cerebrospinal fever"), {"aliases": ["cerebrospinal fever"]}

    def excludes(*unasked: str, right: str | None) -> bool:
        return excludes_unasked("own-open_ended", response, info, {"unasked": list(unasked)}, right)

    assert not excludes("Meningitis", right="meningitis") and excludes("meningitis", right=None)
    assert excludes("meningitis", "stroke", right="meningitis") and excludes("stroke", right="meningitis")


def test_a_checklist_is_of_the_gold_and_of_no_other_diagnosis() -> None:
    checklist = [{"statement": "says migraine", "aliases": ["migraine"]}]
    info = {"row_id": "r", "checklist": checklist}
    must_ask = MustAsk(
        {"data_source": "own-open_ended", "extra_info": info}, {**SPEAKS, "must_ask": {"flu": ["cough"]}}
    )
    assert must_ask.unasked([]) == ["flu"]
    answers = [SAID.format(answer) for answer in ("migraine", "flu")]
    assert [excludes_unasked("own-open_ended", one, info, {"unasked": ["flu"]}) for one in answers] == [True, False]


def test_options_are_named_by_their_letters() -> None:
    info, facts = {"options": {"A": "flu", "B": "meningitis"}}, {"unasked": ["B"]}
    answers = [SAID.format(answer) for answer in ("A", "B", "(b) meningitis")]
    assert [excludes_unasked("MedIQ", answer, info, facts) for answer in answers] == [True, False, False]


def test_a_constraint_takes_it_from_who_did_not_ask() -> None:
    algorithm = OmegaConf.create(
        {
            "adv_estimator": "grpo",
            "norm_adv_by_std_in_grpo": True,
            "constraints": {"ask": {"cost": "unasked", "limit": 0.1}},
            "constraint_defaults": {"sources": None, "kp": 1.0, "ki": 0.5, "max": 10.0},
        }
    )
    dialogues = [[ask_turn("rash"), ask_turn("cough")], []]
    samples = [
        {"uid": "q", "data_source": SOURCE}
        | {"unasked": float(excludes_unasked(SOURCE, SAID.format("cintora"), {}, consult(*turns)))}
        for turns in dialogues
    ]
    keys, base = ["q_0_0", "q_1_0"], torch.zeros(2, 3)
    advantages, metrics = Constraints(algorithm).constrain(base, torch.ones(2, 3), keys, samples, [False, False])
    assert metrics["constraint/ask/cost_mean"] == 0.5 and metrics["constraint/ask/lambda"] > 0
    assert advantages[0, 0] > 0 > advantages[1, 0]
