"""What is graded where the published answer is free text: an option that the question shows, a value, or a short key.

The tables are invented; the rates are of the file as published.
"""

import json

import pyarrow.parquet as pq
import pytest

from reward_score import compute_score, parse_response
from reward_score.open_ended import is_passage
from tests.real_data import real_file
from verl_medu1.cli.prepare import prepare
from verl_medu1.data.budget import Budget
from verl_medu1.data.example import OPTION, VALUE, Example
from verl_medu1.data.prompts import load_prompts
from verl_medu1.data.schema import question_row
from verl_medu1.data.sources import load_source
from verl_medu1.data.sources.free_text import as_graded
from verl_medu1.data.sources.shown_options import named_option, split_options
from verl_medu1.data.sources.values import read_value

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


@pytest.mark.parametrize(
    ("question", "fault"),
    [
        ("Which?\nA. heparin\nB. aspirin\n\nSelect the best answer.", "has a text behind its last option"),
        ("Which?\nA. heparin\nB. aspirin\nSelect the best answer.", "has a text behind its last option"),
        ("Which?\nA. heparin\nB. aspirin\n\nselect one", "has a text behind its last option"),
        ("Options:\nA. heparin\nB. aspirin\nWhich of these is the right one", "has a text behind its last option"),
        ("Options:\nA. heparin\nB. aspirin", "has nothing before its options"),
    ],
)
def test_a_question_that_does_not_end_with_its_options_is_refused(question, fault):
    row = Example("medical-o1-reasoning-SFT", "1", "open_ended", question, "Aspirin.")
    with pytest.raises(ValueError, match=f"field question {fault}"):
        as_graded(row, "Response")


def accepted(example, answer, info):
    response = f"<think>Because.</think><answer>{answer}</answer>"
    return compute_score(example.data_source, response, example.gold, info)["acc"] == 1.0


def test_published_questions_with_options_are_graded_by_letter():
    loaded = load_source("medical-o1", real_file("medical_o1.json"))
    choices = [row for row in loaded.examples if row.graded == OPTION]
    assert len(choices) == 435
    assert loaded.unusable == {
        "field question: letters must name options": 3,
        "field answer: it must name one of the options shown": 12,
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
    looked_at = {30: "A", 73: "C", 137: "D", 269: "E", 412: "B", 668: "B", 742: "A", 758: "A", 824: "A", 894: "B"}
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


@pytest.mark.parametrize(
    ("gold", "options", "question", "letter"),
    [
        # A letter that belongs to the word before it, and the article:
        ("The deficiency is vitamin A.", ("Vitamin K", "Vitamin A"), "Which?", "B"),
        ("Blood group B.", ("Group A", "Group O", "Group B"), "Which?", "C"),
        ("No. The amplifier was set to channel A.", ("Yes", "No"), "Is it?", "B"),
        ("The answer is a fracture of the femoral neck.", ("Hip dislocation", "Femoral neck fracture"), "Which?", None),
        (
            "The correct answer is a selective beta blocker such as metoprolol.",
            ("Salbutamol", "Metoprolol"),
            "Which?",
            "B",
        ),
        ("The blood group is B.", ("Group B", "Group A"), "Which?", None),
        # A negation:
        ("Option A is incorrect; metoprolol is the drug to give.", ("Salbutamol", "Metoprolol"), "Which?", "B"),
        ("The answer is not B. Heparin is contraindicated; aspirin is given.", ("Aspirin", "Heparin"), "Which?", "A"),
        ("Aspirin is contraindicated here, so give another drug.", ("Aspirin", "Enoxaparin"), "Which?", None),
        ("Unlike aspirin, it dissolves clots.", ("Aspirin", "Alteplase"), "Which?", None),
        ("It is given instead of aspirin.", ("Aspirin", "Alteplase"), "Which?", None),
        ("There is no aspirin in it.", ("Aspirin", "Alteplase"), "Which?", None),
        ("The drug that is not given is B. Heparin.", ("Aspirin", "Heparin"), "Which is not given?", "B"),
        ("What does not fit is:\n\nB. Heparin\n\nIt is used as in option A.", ("Aspirin", "Heparin"), "选择", None),
        # A letter against a text, and a text that is too short to mean anything:
        ("The answer is B. One gives aspirin.", ("Aspirin", "Heparin"), "Which?", None),
        ("There is one left of two.", ("one", "two", "three"), "How many?", None),
    ],
)
def test_a_letter_or_a_text_that_is_not_the_answer(gold, options, question, letter):
    lettered = tuple(zip("ABC", options, strict=False))
    if letter is None:
        with pytest.raises(ValueError, match="it must name one of the options shown"):
            named_option(gold, lettered, "Response", question)
    else:
        assert named_option(gold, lettered, "Response", question) == letter


@pytest.mark.parametrize(
    ("answer", "question", "expected"),
    [
        ("63", "?", ("63", None, (None, None))),
        ("The expression evaluates to -39.", "5 - 44 =", ("-39", None, (None, None))),
        ("About 7,056", "?", ("7,056", None, (None, None))),
        ("You have a total of 9 musical instruments.", "How many musical instruments?", ("9", None, (None, None))),
        ("7.40", "What is the pH?", ("7.40", None, (7.395, 7.405))),
        ("25%", "What percentage?", ("25%", "%", (24.975, 25.025))),
        ("The dose is approximately 1.5 mg/kg", "What is the usual dose?", ("1.5 mg/kg", "mg/kg", (1.45, 1.55))),
        ("12 hours", "?", ("12 hours", "hours", (11.988, 12.012))),
        ("3.5 x 10^-4 mg", "?", ("3.5 x 10^-4 mg", "mg", (0.000345, 0.000355))),
        # No single value:
        ("2nd", "?", None),
        ("Type 2", "?", None),
        ("CD4", "?", None),
        ("1:160", "?", None),
        ("12/15", "?", None),
        ("10-15", "?", None),
        ("4 to 6 weeks", "?", None),
        ("less than 5 mg", "?", None),
        ("It is not 5", "?", None),
        ("50 deaths per 1000 live births", "?", None),
        ("9 instruments", "How many beds?", None),
        # Another value than the one asked for, several values, or a percentage that may be written as a fraction:
        ("It is hypothyroidism, because the TSH is 12.", "What is the most likely diagnosis?", None),
        ("Start insulin and fluids. The target glucose is 180 mg/dL.", "What is the next step?", None),
        ("The first dose is 5 mg and the second dose is 10 mg.", "What is the dose?", None),
        ("The point is [2, 0]. There, the maximum equals 6.", "What is the value of the optimal point?", None),
        ("The total is 6.", "What is the mean? What is the total?", None),
        ("The risk of a heart attack is 12.", "What is the cause of this high rate?", None),
        ("25%", "What is the probability, if 5% are ill?", None),
        ("The probability is 25%.", "What is the probability?", None),
        ("Of 40 patients, 10 have it, so the rate is 7.5.", "What is the rate?", None),
        ("The rate in 40 patients is 7.5.", "What is the rate in 40 patients?", ("7.5", None, (7.45, 7.55))),
    ],
)
def test_an_answer_that_is_a_value(answer, question, expected):
    value = read_value(answer, question)
    assert (value and (value.text, value.unit, value.limits)) == expected


@pytest.mark.parametrize(
    ("gold", "right", "wrong"),
    [
        ("12 hours", ["12", "0.5 days", "720 min"], ["12.4", "12 days", "about 13 hours", "not 12"]),
        ("9", ["9", "nine", "9 beds"], ["8", "10", "9 or 10", "9.6"]),
        ("7.4", ["7.4", "7.40", "pH 7.42"], ["7.1", "7.5", "74"]),
        ("25%", ["25", "25 percent"], ["24%", "0.3", "2.5%"]),
    ],
)
def test_a_value_is_judged_by_its_own_digits(tmp_path, gold, right, wrong):
    [row] = load_source(
        "medical-o1-verifiable",
        write(tmp_path / "v.json", [{QUESTION: "How much is it, in percent or otherwise?", ANSWER: gold}]),
    ).examples
    info = question_row(row, [], Budget(), "train", 0)["extra_info"]
    assert row.answer_type == "calculation"
    assert [accepted(row, answer, info) for answer in right] == [True] * len(right)
    assert [accepted(row, answer, info) for answer in wrong] == [False] * len(wrong)


def test_published_values_become_calculations():
    rows = [row for row in load_source("medical-o1", real_file("medical_o1.json")).examples if row.graded == VALUE]
    golds = {row.row_id.partition("/")[2]: row.gold for row in rows}
    assert len(rows) == 22
    # Looked at by hand, and the expressions calculated.
    looked_at = {"108": "150", "191": "7,056", "234": "630", "322": "63", "382": "-39", "429": "9"}
    assert {number: golds[number] for number in looked_at} == looked_at
    for row in rows:
        info = question_row(row, [], Budget(), "train", 0)["extra_info"]
        assert accepted(row, row.gold, info)
        assert not any(accepted(row, answer, info) for answer in (f"-{row.gold}7", f"not {row.gold}", "12345.6", "yes"))


QUESTION, ANSWER = "Open-ended Verifiable Question", "Ground-True Answer"
PASSAGE = (
    "The nightly pain, swelling and fever of this young sailor suggest a malignant tumour of the metacarpal bone, "
    "because infections rarely last that long."
)


def write(path, records):
    path.write_text(json.dumps(records))
    return path


def sailors(number: int) -> str:
    return f"Sailor {number} of a crew of {number + 40} has had a sore thumb for {number + 2} days. Which bone is it?"


def reasoned(number: int, response: str, reasoning: str = "Hm.") -> dict:
    return {"Question": sailors(number), "Complex_CoT": reasoning, "Response": response}


def prepared(out, name):
    entry = json.loads((out / "manifest.json").read_text())["sources"]["medical-o1"]
    rows = pq.read_table(out / name).to_pylist() if (out / name).exists() else []
    return entry, rows


def test_a_question_takes_its_short_key_from_the_other_file(tmp_path):
    responses = [PASSAGE] * 20 + ["The scaphoid."] * 10
    records = [reasoned(number, response) for number, response in enumerate(responses)]
    records += [reasoned(30, PASSAGE, "I write <answer>here</answer>."), reasoned(31, PASSAGE, "")]
    # Question 8 has two keys, so that none is sure; white space does not count.
    keys = [{QUESTION: f" {sailors(number)}\n", ANSWER: "Metacarpal"} for number in range(9)]
    keys.append({QUESTION: sailors(8), ANSWER: "Scaphoid"})
    files = f"{write(tmp_path / 'sft.json', records)},{write(tmp_path / 'keys.json', keys)}"
    prepare([f"medical-o1={files}"], tmp_path / "out", warmup=1)
    entry, train = prepared(tmp_path / "out", "train.parquet")
    _, test = prepared(tmp_path / "out", "test.parquet")
    golds = [row["reward_model"]["ground_truth"] for row in train + test]
    assert sorted(golds) == ["Metacarpal"] * 8 + ["The scaphoid."] * 10
    assert (entry["read"], entry["by_key"], entry["passages"], entry["supervised"]) == (32, 8, 14, 12)
    assert entry["train"] + entry["test"] + entry["passages"] == entry["read"]
    assert entry["keys"]["file"] == "keys.json"
    _, demonstrations = prepared(tmp_path / "out", "supervised.parquet")
    said = {row["messages"][1]["content"].splitlines()[0]: row["messages"][2]["content"] for row in demonstrations}
    assert said.keys() == {sailors(number) for number in range(8, 20)}
    assert set(said.values()) == {f"<think>Hm.</think><answer>{PASSAGE}</answer>"}


@pytest.mark.parametrize(
    ("where", "asked", "gold"),
    [
        ("hub", ["SFT"], PASSAGE),
        ("hub:other", ["SFT"], PASSAGE),
        ("hub,hub", ["SFT", "problem"], "Lunate"),
        ("hub,keys.json", ["SFT"], "Scaphoid"),
        ("hub:other,keys.json", ["SFT"], "Scaphoid"),
        ("sft.json,hub", ["problem"], "Lunate"),
        ("sft.json,keys.json", [], "Scaphoid"),
    ],
)
def test_short_keys_are_read_where_it_is_said(tmp_path, monkeypatch, where, asked, gold):
    def read_hub(repository, config, split):
        calls.append(repository.rpartition("-")[2])
        is_sft = calls[-1] == "SFT"
        return [("row 0", reasoned(1, PASSAGE) if is_sft else {QUESTION: sailors(1), ANSWER: "Lunate"})]

    calls: list[str] = []
    monkeypatch.setattr("verl_medu1.data.sources.read_hub", read_hub)
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "sft.json", [reasoned(1, PASSAGE)])
    write(tmp_path / "keys.json", [{QUESTION: sailors(1), ANSWER: "Scaphoid"}])
    [row] = load_source("medical-o1", where).examples
    assert (calls, row.gold) == (asked, gold)


def test_a_key_to_a_question_with_options_goes_to_that_question_alone(tmp_path):
    """The same stem stands in one file with its options, and without them in the other."""
    shown = f"{sailors(1)}\nA. Femur\nB. Scaphoid"
    records = [reasoned(1, PASSAGE), {"Question": shown, "Response": "It is A. Femur."}]
    keys = [{QUESTION: shown, ANSWER: "Scaphoid"}]
    files = f"{write(tmp_path / 'sft.json', records)},{write(tmp_path / 'keys.json', keys)}"
    alone, choice = load_source("medical-o1", files).examples
    assert (alone.gold, alone.graded) == (PASSAGE, "passage")
    assert (choice.question, choice.gold, choice.graded) == (sailors(1), "B", OPTION)


def test_passages_that_resemble_test_rows_are_no_demonstrations_either(tmp_path):
    records = [reasoned(number, PASSAGE if number else "It is the scaphoid.") for number in range(20)]
    known = write(tmp_path / "known.json", [{QUESTION: sailors(3), ANSWER: "Scaphoid"}])
    files = [f"medical-o1={write(tmp_path / 'sft.json', records)}"]
    prepare(files, tmp_path / "out", benchmark=[f"medical-o1-verifiable={known}"], test_share=0.0)
    entry, demonstrations = prepared(tmp_path / "out", "supervised.parquet")
    assert (entry["contaminated"], entry["passages"], entry["supervised"]) == (1, 18, 18)
    assert not any(sailors(3) in row["messages"][1]["content"] for row in demonstrations)


def test_a_row_that_can_be_graded_is_kept_before_the_same_question_with_a_passage(tmp_path):
    sft = write(tmp_path / "sft.json", [reasoned(number, PASSAGE) for number in range(12)])
    verifiable = write(tmp_path / "v.json", [{QUESTION: sailors(number), ANSWER: "Scaphoid"} for number in range(12)])
    prepare([f"medical-o1={sft}", f"medical-o1-verifiable={verifiable}"], tmp_path / "out", test_share=0.0)
    entry, train = prepared(tmp_path / "out", "train.parquet")
    assert entry["exact_duplicates"] == 12 and len(train) == 12


def test_no_published_passage_is_left_to_a_reward(tmp_path):
    """The published file joined with keys for some of its questions."""
    file = real_file("medical_o1.json")
    records = json.loads(file.read_text())
    open_ended = [row for row in load_source("medical-o1", file).examples if row.graded == "passage"]
    keys = [{QUESTION: row.question, ANSWER: "Scaphoid"} for row in open_ended[:100]]
    prepare([f"medical-o1={file},{write(tmp_path / 'keys.json', keys)}"], tmp_path / "out")
    entry, train = prepared(tmp_path / "out", "train.parquet")
    _, test = prepared(tmp_path / "out", "test.parquet")
    assert (entry["read"], entry["by_option"], entry["by_key"]) == (len(records), 435, 100)
    assert entry["passages"] == entry["supervised"] > 300
    rows = train + test
    assert not any(is_passage(row["reward_model"]["ground_truth"]) for row in rows if row["ability"] == "open_ended")
    for demonstration in prepared(tmp_path / "out", "supervised.parquet")[1]:
        assert parse_response(demonstration["messages"][-1]["content"]).well_formed
