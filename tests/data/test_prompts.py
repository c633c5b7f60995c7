"""Prompts: what the model is told, and prompt files with mistakes."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reward_score.open_ended import judge_open_ended
from reward_score.registry import ANSWER_TYPES
from verl_medu1.data.budget import Budget
from verl_medu1.data.example import Example
from verl_medu1.data.generated.prepare import PROMPTS_FILE
from verl_medu1.data.prompts import DEFAULT_FILE, Prompts, load_prompts, variant

CHEMISTRY_FILE = Path(__file__).resolve().parents[2] / "examples" / "chemistry" / "prompts.yaml"


def example(answer_type: str) -> Example:
    options = (("A", "this {one}"), ("B", "that")) if answer_type == "multiple_choice" else ()
    return Example("source", "1", answer_type, "Which {x}?", "A", options)


@pytest.mark.parametrize("path", [DEFAULT_FILE, PROMPTS_FILE], ids=["default", "quickstart"])
@pytest.mark.parametrize("answer_type", ANSWER_TYPES)
def test_messages_hold_question_options_instruction_and_budget(path, answer_type):
    prompts = load_prompts(path)
    system, user = prompts.messages(example(answer_type), Budget("max", 90))
    assert (system["role"], user["role"]) == ("system", "user")
    lines = user["content"].splitlines()
    assert lines[0] == "Which {x}?"
    assert lines[1:-1] == (["A. this {one}", "B. that"] if answer_type == "multiple_choice" else [])
    assert lines[-1].startswith(prompts.instructions[answer_type]) and "90" in lines[-1]
    thinking = prompts.messages(example(answer_type), Budget("exact", 90, "reasoning"))[1]["content"].splitlines()[-1]
    assert thinking.endswith("Think for about 90 tokens.")
    without = prompts.messages(example(answer_type), Budget())[1]["content"].splitlines()[-1]
    assert without == prompts.instructions[answer_type]


@pytest.mark.parametrize("path", [DEFAULT_FILE, CHEMISTRY_FILE], ids=["default", "chemistry"])
def test_the_open_ended_instruction_asks_for_what_the_scorer_passes(path):
    gold = "Pulmonary embolism"
    explained = "Sudden dyspnea after a long flight, with pleuritic pain, is explained by pulmonary embolism."
    assert judge_open_ended(gold, gold, {}).correct and not judge_open_ended(explained, gold, {}).correct
    assert "answer with it alone" in load_prompts(path).instructions["open_ended"]


def varied(tmp_path: Path, *systems: str) -> Prompts:
    path = tmp_path / "varied.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(DEFAULT_FILE.read_text()) | {"system": list(systems)}))
    return load_prompts(path)


def test_a_question_always_gets_the_same_variant_and_each_is_used(tmp_path):
    prompts = varied(tmp_path, "Look.", "Describe.", "Compare.")
    questions = [replace(example("calculation"), row_id=f"source/{number}") for number in range(300)]
    said = [prompts.messages(question, Budget())[0]["content"] for question in questions]
    assert said == [prompts.messages(question, Budget("max", 90))[0]["content"] for question in questions]
    # 300 draws of three: 100 of each, with a standard deviation of 8.
    assert set(Counter(said)) == {"Look.", "Describe.", "Compare."} and min(Counter(said).values()) > 60


def test_one_variant_is_the_same_as_a_text(tmp_path):
    question = example("calculation")
    text = load_prompts().system[0]
    assert varied(tmp_path, text).messages(question, Budget()) == load_prompts().messages(question, Budget())


@given(st.text(), st.integers(1, 20))
def test_a_variant_exists_for_every_id(row_id, number):
    assert 0 <= variant(row_id, number) < number


def without(texts: dict, *keys: str) -> dict:
    inner = texts
    for key in keys[:-1]:
        inner = inner[key]
    del inner[keys[-1]]
    return texts


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda texts: without(texts, "system"), "system"),
        (lambda texts: without(texts, "instructions", "open_ended"), "instructions.open_ended"),
        (lambda texts: {**texts, "option": "{letter}"}, "{letter} and {text}"),
        (lambda texts: {**texts, "option": "{letter} {text"}, "option"),
        (lambda texts: {**texts, "budget": {"exact": "{tokens}", "max": "few"}}, "budget.max"),
        (lambda texts: without(texts, "reasoning_budget"), "reasoning_budget.exact"),
        (lambda texts: {**texts, "instructions": "short"}, "instructions.multiple_choice"),
        (lambda texts: ["system"], "system"),
        (lambda texts: {**texts, "system": []}, "system"),
        (lambda texts: {**texts, "system": ["Think.", " "]}, "system"),
    ],
)
def test_a_mistake_in_a_prompt_file_is_named(tmp_path, change, named):
    path = tmp_path / "prompts.yaml"
    path.write_text(yaml.safe_dump(change(yaml.safe_load(DEFAULT_FILE.read_text()))))
    with pytest.raises(ValueError) as error:
        load_prompts(path)
    assert named in str(error.value) and str(path) in str(error.value)


def test_an_unreadable_prompt_file_is_named(tmp_path):
    (tmp_path / "bad.yaml").write_text("system: [")
    for path in (tmp_path / "bad.yaml", tmp_path / "missing.yaml", Path(tmp_path)):
        with pytest.raises(ValueError, match="can't be read"):
            load_prompts(path)
