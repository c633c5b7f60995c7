"""What is graded where the published answer is free text: an option that the question shows.

The tables are invented; the rates are of the file as published.
"""

import json

import pytest

from reward_score import compute_score
from tests.real_data import real_file
from verl_medu1.cli.prepare import prepare
from verl_medu1.data.budget import Budget
from verl_medu1.data.example import OPTION
from verl_medu1.data.prompts import load_prompts
from verl_medu1.data.schema import question_row
from verl_medu1.data.sources import load_source
from verl_medu1.data.sources.shown_options import named_option, split_options

DRUGS = (("A", "heparin"), ("B", "aspirin"), ("C", "high-dose aspirin"))
YES_NO = (("A", "Yes"), ("B", "No"))


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Which?\nA. heparin\nB. aspirin\nC. high-dose aspirin", ("Which?", DRUGS)),
        ("Which?\nOptions:\n(A) heparin\n(B) aspirin\n(C) high-dose\naspirin", ("Which?", DRUGS)),
        ("Which?\nAnswer Choices:\n A) heparin\n B) aspirin\n C) high-dose aspirin\n", ("Which?", DRUGS)),
        ("Is it?\nOptions:\n- Yes\n- No", ("Is it?", YES_NO)),
        ("Findings:\nA. a rash\nIs it?\nA. Yes\nB. No", ("Findings:\nA. a rash\nIs it?", YES_NO)),
        # No options:
        ("Which is it?", None),
        ("Hepatitis A. or B. is it?", None),
        ("Signs:\nA. a rash\nB. fever\nWhich is seen in measles?", None),
        ("Which?\nA. heparin", None),
        ("Which?\nB. heparin\nC. aspirin", None),
        ("Which?\nA. heparin\nC. aspirin", None),
    ],
)
def test_options_shown_in_a_question(question, expected):
    assert split_options(question) == (expected or (question, ()))


@pytest.mark.parametrize(
    ("gold", "letter"),
    [
        ("B", "B"),
        ("(b).", "B"),
        ("B. aspirin", "B"),
        ("aspirin", "B"),
        ("Aspirin is given at once.", "B"),
        ("High-dose aspirin is given.", "C"),  # and not the aspirin inside of it
        ("It is (B).", "B"),
        ("Therefore, the correct answer is:\n\nB. aspirin\n\nHeparin is given later.", "B"),
        ("Not heparin, (A), which comes later: the answer is (B) aspirin.", "B"),
        ("Heparin comes later, aspirin at once. Therefore, option B is right.", "B"),
        ("(A) In the first phase there is none. The answer is **B. aspirin**.", "B"),
        ("B. acetylsalicylic acid", "B"),
        # One can't tell:
        ("Heparin or aspirin.", None),
        ("(A) or (B)", None),
        ("Warfarin.", None),
        ("B. heparin", None),
        ("D. warfarin", None),
    ],
)
def test_the_option_that_an_answer_names(gold, letter):
    if letter is None:
        with pytest.raises(ValueError, match=r"field Response .*; it must name one of the options shown"):
            named_option(gold, DRUGS, "Response")
    else:
        assert named_option(gold, DRUGS, "Response") == letter


def accepted(example, answer, info):
    response = f"<think>Because.</think><answer>{answer}</answer>"
    return compute_score(example.data_source, response, example.gold, info)["acc"] == 1.0


def test_published_questions_with_options_are_graded_by_letter():
    loaded = load_source("medical-o1", real_file("medical_o1.json"))
    choices = [row for row in loaded.examples if row.graded == OPTION]
    assert len(choices) == 446
    assert loaded.unusable == {
        "field question: letters must name options": 3,
        "field answer: it must name one of the options shown": 1,
    }
    prompts, tried = load_prompts(), 0
    for row in choices:
        written = question_row(row, prompts.messages(row, Budget()), Budget(), "train", 0)
        lines = written["prompt"][-1]["content"].splitlines()
        for letter, text in row.options:
            assert lines.count(f"{letter}. {text}") == 1
            for answer in (letter, f"({letter.lower()})", f"{letter}. {text}", text, f"The answer is {letter}: {text}"):
                assert accepted(row, answer, written["extra_info"]) is (letter == row.gold), (row.row_id, answer)
                tried += 1
    assert tried > 10_000
    assert not any(split_options(row.question)[1] for row in loaded.examples if row.answer_type == "open_ended")


def test_explanations_are_read_as_a_person_reads_them():
    """Rows looked at by hand: letter with text, text alone, and one that also says what the answer is not."""
    rows = {row.row_id: row.gold for row in load_source("medical-o1", real_file("medical_o1.json")).examples}
    looked_at = {30: "A", 73: "C", 137: "D", 269: "E", 353: "B", 412: "B", 742: "A", 758: "A", 824: "A", 894: "B"}
    assert {number: rows[f"medical-o1/{number}"] for number in looked_at} == looked_at


def test_a_choice_is_counted_and_found_in_a_benchmark_of_choices(tmp_path):
    def shown(number: int) -> str:
        return f"Sailor {number} of a crew of {number + 40} has a sore thumb since {number + 2} days. What helps?"

    options = {"A": "rest", "B": "surgery"}
    records = [{"Question": f"{shown(n)}\nA. rest\nB. surgery", "Response": "It is B. surgery."} for n in range(20)]
    known = [{"question": shown(0), "options": options, "answer_idx": "B"}]
    (tmp_path / "o1.json").write_text(json.dumps(records))
    (tmp_path / "medqa.json").write_text(json.dumps(known))
    prepare([f"medical-o1={tmp_path / 'o1.json'}"], tmp_path / "out", benchmark=[f"medqa={tmp_path / 'medqa.json'}"])
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    entry = manifest["sources"]["medical-o1"]
    assert (entry["read"], entry["by_option"], entry["contaminated"]) == (20, 20, 1)
    assert manifest["rows"]["train"].keys() == {"medical-o1-multiple_choice"}
