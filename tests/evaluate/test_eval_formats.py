"""The same question in other answer formats: how it is asked, how rankings are read, what stays right."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from verl_medu1.data.budget import Budget
from verl_medu1.data.example import Example
from verl_medu1.data.prompts import load_prompts
from verl_medu1.data.schema import question_row
from verl_medu1.evaluate.formats import in_other_formats, judge_in_format, read_ranking
from verl_medu1.evaluate.questions import Question
from verl_medu1.evaluate.robustness import robustness

OPTIONS = (("A", "heparin"), ("B", "aspirin"), ("C", "atrial fibrillation, acute"))


def question(gold: str = "B", options: tuple = OPTIONS, budget: Budget | None = None, text: str = "Which?") -> Question:
    example = Example("MedQA", "1", "multiple_choice", text, gold, options)
    budget = budget or Budget()
    row = question_row(example, load_prompts().messages(example, budget), budget, "test", 0)
    return Question("1", "MedQA", row["prompt"], gold, row["extra_info"])


def test_a_question_is_asked_without_and_with_its_options() -> None:
    asked = in_other_formats([question(budget=Budget("max", 90))], load_prompts())
    short, ranked = (item.prompt[-1]["content"].splitlines() for item in asked)
    assert short == ["Which?", "Answer in a few words, with one answer and no alternatives. Use at most 90 tokens."]
    assert ranked[:-1] == ["Which?", "A. heparin", "B. aspirin", "C. atrial fibrillation, acute"]
    assert ranked[-1] == (
        "List all options from the most to the least likely, as letters separated by >. Use at most 90 tokens."
    )
    assert [item.asked_as for item in asked] == ["short_answer", "ranked_list"]
    assert all(item.prompt[0]["role"] == "system" for item in asked)


def test_an_option_that_stands_in_the_question_too_is_left_there() -> None:
    asked = in_other_formats([question(text="A. heparin was given.\nWhich next?")], load_prompts())
    assert asked[0].prompt[-1]["content"].startswith("A. heparin was given.\nWhich next?\nAnswer in a few words")


@pytest.mark.parametrize("text", ["All of the above", "none of these", "Both A and B", "?"])
def test_an_option_that_cannot_be_said_is_not_asked_for(text: str) -> None:
    asked = in_other_formats([question(options=(("A", "heparin"), ("B", text)))], load_prompts())
    assert [item.asked_as for item in asked] == ["ranked_list"]


def test_only_questions_with_options_are_asked_anew() -> None:
    assert in_other_formats([question(options=())], load_prompts()) == []


def test_rows_of_other_prompts_are_refused() -> None:
    other = replace(load_prompts(), option="({letter}) {text}")
    with pytest.raises(ValueError, match=r"row '1' was not made of --prompts"):
        in_other_formats([question()], other)


@pytest.mark.parametrize(
    ("answer", "ranking"),
    [
        ("B > A > C", ["B", "A", "C"]),
        ("b>a>c", ["B", "A", "C"]),
        ("(B), (A)", ["B", "A"]),
        ("B; C; A", ["B", "C", "A"]),
        ("1. B\n2. A\n3. C", ["B", "A", "C"]),
        ("- B. aspirin\n- A. heparin\n", ["B", "A"]),
        ("aspirin > heparin", ["B", "A"]),
        ("1) atrial fibrillation, acute\n2) B", ["C", "B"]),
        ("**B** > **A**", ["B", "A"]),
        ("B", "no list"),
        ("", "no list"),
        ("B > B", "an option twice"),
        ("B > nothing else", "no list of options"),
        ("B > D", "no list of options"),
        (">", "no list of options"),
        ("A > " * 1000, "too long for a list"),
    ],
)
def test_rankings_are_read_and_nothing_else(answer: str, ranking: list[str] | str) -> None:
    assert read_ranking(answer, dict(OPTIONS)) == ranking


@pytest.mark.parametrize(
    ("kind", "answer", "correct", "similarity"),
    [
        ("ranked_list", "B > A > C", True, 1.0),
        ("ranked_list", "A > B > C", False, 0.5),
        ("ranked_list", "A > C", False, 0.0),
        ("ranked_list", "B", False, 0.0),
        ("short_answer", "Aspirin.", True, None),
        ("short_answer", "B", False, None),
        ("short_answer", "heparin", False, None),
        ("short_answer", "aspirin or heparin", False, None),
        ("short_answer", "", False, None),
    ],
)
def test_answers_are_judged_in_their_format(kind: str, answer: str, correct: bool, similarity: float | None) -> None:
    verdict = judge_in_format(replace(question(), asked_as=kind), answer)
    assert verdict.correct is correct
    if similarity is not None:
        assert verdict.similarity == similarity


def test_how_much_of_what_is_right_stays_right(sample: Callable) -> None:
    def answered(row_id: str, **right: list[bool]) -> list[dict]:
        return [
            sample(row_id, right=value, asked_as=kind, sample=number)
            for kind, values in right.items()
            for number, value in enumerate(values)
        ]

    samples = [
        *answered("a", as_prepared=[True, True], ranked_list=[True, False]),
        *answered("b", as_prepared=[True, False], ranked_list=[True, True]),
        *answered("c", as_prepared=[False, False], ranked_list=[True, True]),
        *answered("d", as_prepared=[True, True]),  # was not asked as a ranked list
    ]
    found = robustness(samples)
    assert list(found) == ["ranked_list"]
    assert found["ranked_list"]["questions"] == 3
    assert found["ranked_list"]["as_prepared"] == pytest.approx(0.5)
    assert found["ranked_list"]["accuracy"] == pytest.approx(5 / 6)
    # Right as multiple choice: a twice, b once; their other answers are right half of the time and always.
    assert found["ranked_list"]["stays"] == pytest.approx((1 * 0.5 + 0.5 * 1) / 1.5)
    assert robustness(answered("a", as_prepared=[False], ranked_list=[True]))["ranked_list"]["stays"] is None
