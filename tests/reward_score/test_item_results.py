"""What a scored response says of the items of its checklist."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from verl.trainer.ppo.metric_utils import process_validation_metrics

from reward_score import compute_score
from reward_score.checklist import read_checklist
from reward_score.item_results import AGREED, DIFFERED, NO_VERDICT, ItemResult, read_items, write_items
from reward_score.response import format_response

CHECKLIST = [
    {"statement": "Advises rest", "aliases": ["rest"], "weight": 3},
    {"statement": "Names 5 mg", "number": 5},
    {"statement": "Advises aspirin", "aliases": ["aspirin"], "must_not": True},
]
GOLD = "Rest. Take 5 mg."
RESULTS = st.builds(
    ItemResult, st.text(), st.booleans(), st.booleans(), st.sampled_from(["", AGREED, DIFFERED, NO_VERDICT])
)


@given(st.lists(RESULTS))
def test_what_is_written_is_read(results):
    text = write_items(results)
    assert read_items(text) == results and "\n" not in text


@pytest.mark.parametrize(
    "text", ["nonsense", "[1]", "{}x", '[{"statement": "x"}]', '[{"statement": "x", "yes": 1}]', 3]
)
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match=r"checklist_items is .*, which is not what the scorer writes"):
        read_items(text)


@pytest.mark.parametrize("text", ["", None])
def test_nothing_is_no_items(text):
    assert read_items(text) == []


def scored(answer: str, checklist: Any = CHECKLIST, response: str | None = None) -> Any:
    info = {"checklist": checklist}
    return compute_score("own-open_ended", response or format_response("x", answer), GOLD, info)


@pytest.mark.parametrize(
    ("answer", "true"),
    [
        (GOLD, [True, True, False]),
        ("Rest.", [True, False, False]),
        ("Rest. Take aspirin.", [True, False, True]),  # a must-not does not hide what else was said
        ("Do not rest. Take 5 mg. Perhaps aspirin.", [False, True, True]),
        ("Nothing.", [False, False, False]),
    ],
)
def test_each_item_is_named_and_marked(answer, true):
    items = read_items(scored(answer)["checklist_items"])
    assert [item.true for item in items] == true
    assert [(item.statement, item.must_not) for item in items] == [
        (item.statement, item.must_not) for item in read_checklist(CHECKLIST)
    ]
    # In a response that is not well-formed, too.
    assert read_items(scored("", response=f"<answer>{answer}</answer>")["checklist_items"]) == items


@pytest.mark.parametrize(
    ("answer", "response", "checklist"),
    [
        ("Rest. Rest.", None, CHECKLIST),  # refused as a whole
        ("Advises aspirin", None, CHECKLIST),
        ("", "no answer at all", CHECKLIST),
        (GOLD, None, None),
        (GOLD, None, [*CHECKLIST, {"weight": 1}]),  # an error of the row
    ],
)
def test_every_other_response_has_the_key_too(answer, response, checklist):
    assert scored(answer, checklist, response)["checklist_items"] == ""


def test_verl_takes_them():
    """Its validation skips texts, and stacks components to arrays elsewhere."""
    rows = [scored(answer) for answer in (GOLD, "Rest. Rest.", "Rest.")]
    components = {name: [row[name] for row in rows] for name in rows[0]}
    found = process_validation_metrics(["own"] * 3, ["a", "b", "c"], components)
    assert "checklist_items" not in found["own"] and "acc" in found["own"]
    assert np.array(components["checklist_items"]).shape == (3,)
