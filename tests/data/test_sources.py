"""The sources: each published form becomes the same example, and what is wrong with a record is said by its field.

All rows are invented.
"""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_score import check_gold, known_sources
from verl_medu1.cli.prepare import prepare
from verl_medu1.data.budget import Budget
from verl_medu1.data.example import Example
from verl_medu1.data.schema import question_row
from verl_medu1.data.sources import READERS, load_source, read_source
from verl_medu1.data.sources.reader import Hub

OPTIONS = {"A": "Aspirin", "B": "Heparin", "C": "Rest", "D": "Surgery"}
PAIRS = tuple(OPTIONS.items())
STEM = "A sailor has a sore thumb. What helps?"
NOTE = "A man of 70 kg and 1.75 m."
BMI = "What is his BMI in kg/m²?"
CALCULATION = {"Lower Limit": "21.714", "Upper Limit": "24"}
OFFICIAL_CALCULATION = {
    "Row Number": "7",
    "Patient Note": NOTE,
    "Question": BMI,
    "Ground Truth Answer": "22.857",
    **CALCULATION,
}
RELEASED_CALCULATION = {
    "id": "7",
    "problem": f"<Context> {NOTE} </Context> <Question> {BMI} </Question>",
    "answer": "22.857",
    **CALCULATION,
}
MEDMCQA = {"id": "m", "question": STEM, "opa": "Aspirin", "opb": "Heparin", "opc": "Rest", "opd": "Surgery"}
EHRNOTEQA = {
    "patient_id": 999,
    "question": STEM,
    "choice_A": "Aspirin",
    "choice_B": "Heparin",
    "choice_C": "Rest",
    "choice_D": "Surgery",
    "choice_E": "Tea",
    "answer": "C",
    "note_1": "Thumb sore since Tuesday.",
    "note_2": "",
    "note_3": None,
}

# (source, record, what the example must be)
FORMS = [
    ("medcalc", OFFICIAL_CALCULATION, {"row_id": "medcalc/7", "unit": "kg/m²", "upper_limit": 24.0, "group": NOTE}),
    ("medcalc", RELEASED_CALCULATION, {"row_id": "medcalc/7", "unit": "kg/m²", "lower_limit": 21.714, "group": NOTE}),
    ("medcalc-verified", OFFICIAL_CALCULATION, {"gold": "22.857", "question": f"{NOTE}\n{BMI}"}),
    (
        "mediq",
        {"id": 3, "context": ["A sailor has a sore thumb."], "question": "What helps?", "options": OPTIONS}
        | {"answer_idx": "C", "answer": "Rest"},
        {"row_id": "mediq/3", "gold": "C", "options": PAIRS, "question": "A sailor has a sore thumb.\nWhat helps?"},
    ),
    (
        "mediq",
        {"id": "3", "problem": f"<Question>{STEM}</Question>", "options": OPTIONS, "answer": "C"},
        {"row_id": "mediq/3", "gold": "C", "options": PAIRS, "question": STEM},
    ),
    (
        "medxpertqa",
        {"id": "Text-0", "question": f"{STEM}\nAnswer Choices: (A) Aspirin (B) Heparin", "options": OPTIONS}
        | {"label": "C"},
        {"row_id": "medxpertqa/Text-0", "gold": "C", "options": PAIRS, "question": STEM},
    ),
    (
        "medxpertqa",
        {"problem": f"{STEM}\nAnswer Choices: (A) Aspirin", "choices": OPTIONS, "answer": "C"},
        {"row_id": "medxpertqa/0", "gold": "C", "question": STEM},
    ),
    ("medqa", {"question": STEM, "options": OPTIONS, "answer_idx": "C"}, {"row_id": "medqa/0", "gold": "C"}),
    (
        "pubmedqa",
        {"pubid": 12, "question": "Does rest help?", "context": {"contexts": ["Ten sailors.", "All rested."]}}
        | {"final_decision": "maybe"},
        {"row_id": "pubmedqa/12", "gold": "C", "question": "Ten sailors.\nAll rested.\nDoes rest help?"},
    ),
    (
        "mmlu-pro",
        {
            "question_id": 9,
            "question": STEM,
            "options": list(OPTIONS.values()),
            "answer_index": 2,
            "category": "health",
        },
        {"row_id": "mmlu-pro/9", "gold": "C", "options": PAIRS},
    ),
    (
        "medical-o1",
        {"Question": STEM, "Complex_CoT": "Hm.", "Response": "Rest."},
        {"row_id": "medical-o1/0", "gold": "Rest.", "question": STEM},
    ),
    (
        "medical-o1",
        {"problem": STEM, "answer": "<answer>\nRest.\n</answer>", "think": "<think>Hm.</think>"},
        {"gold": "Rest.", "question": STEM},
    ),
    (
        "medical-o1-verifiable",
        {"Open-ended Verifiable Question": STEM, "Ground-True Answer": "Rest"},
        {"gold": "Rest", "data_source": "medical-o1-verifiable-problem"},
    ),
    (
        "ehrnoteqa",
        EHRNOTEQA,
        {"row_id": "ehrnoteqa/0", "gold": "C", "group": "999", "question": f"Thumb sore since Tuesday.\n\n{STEM}"},
    ),
]


def write(path: Path, records: list[dict]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(records))
    else:
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".parquet"])
@pytest.mark.parametrize(
    ("name", "record", "expected"), FORMS, ids=[f"{form[0]}-{place}" for place, form in enumerate(FORMS)]
)
def test_each_published_form_is_read(tmp_path, suffix, name, record, expected):
    [example] = read_source(name, write(tmp_path / f"a{suffix}", [record]))
    assert {field: getattr(example, field) for field in expected} == expected
    row = question_row(example, [], Budget(), "test", 0)
    assert check_gold(example.data_source, example.gold, row["extra_info"]) is None


def test_every_source_has_a_form_here_and_a_scorer():
    with_images = {name for name, reader in READERS.items() if reader.images}  # test_image_sources.py
    assert {name for name, _, _ in FORMS} | {"medmcqa"} == {*READERS} - with_images
    assert all(reader.licence for reader in READERS.values())
    assert {READERS[name].hub for name in READERS if READERS[name].credentialed} == {None}
    assert {"MedMCQA", "MMLU-Pro", "EHRNoteQA"} <= set(known_sources())


def test_the_official_csv_of_medcalc_is_read(tmp_path):
    path = tmp_path / "train_data.csv"
    path.write_text(
        "Row Number,Calculator ID,Patient Note,Question,Ground Truth Answer,Lower Limit,Upper Limit\n"
        '1,6,"Weight 70 kg,\nheight 1.75 m.",What is the BMI in kg/m²?,22.857,21.714,24.0\n'
        "2,13,Last period on 01/02/2020.,When is it due?,10/08/2020,10/08/2020,10/08/2020\n"
        "3,69,Last period on 01/02/2020.,How old?,\"('17 weeks', '6 days')\",\"('17 weeks', '6 days')\",x\n"
        "4,30,Sodium low.,What is the deficit?,-2.0,-1.9,-2.1\n",
        encoding="utf-8",
    )
    examples = read_source("medcalc", path)
    assert [example.row_id for example in examples] == [f"medcalc/{number}" for number in range(1, 5)]
    assert [(example.lower_limit, example.upper_limit) for example in examples] == [
        (21.714, 24.0), (None, None), (None, None), (-2.1, -1.9),
    ]  # fmt: skip
    assert examples[1].group == examples[2].group != examples[0].group


def test_mmlu_pro_is_its_health_questions(tmp_path):
    record = {"question": STEM, "options": ["a", "b"], "answer_index": 0}
    records = [
        {**record, "question_id": 1, "category": "law"},
        {**record, "question_id": 2, "category": "health"},
    ]
    assert [row.row_id for row in read_source("mmlu-pro", write(tmp_path / "a.json", records))] == ["mmlu-pro/2"]


@pytest.mark.parametrize(
    ("numbers", "golds"),
    [((0, 2, 3), "ACD"), ((1, 2, 4), "ABD"), (("0", "3.0"), "AD"), ((0.0, 1.0), "AB"), ((4.0, 1.0), "DA")],
)
def test_medmcqa_counts_from_what_its_file_shows(tmp_path, numbers, golds):
    records = [{**MEDMCQA, "id": f"m{place}", "cop": number} for place, number in enumerate(numbers)]
    assert "".join(row.gold for row in read_source("medmcqa", write(tmp_path / "a.jsonl", records))) == golds


def test_an_option_that_is_missing_moves_no_answer(tmp_path):
    records = [{**MEDMCQA, "id": "a", "cop": 0}, {**MEDMCQA, "id": "b", "opb": None, "cop": 2}]
    row = read_source("medmcqa", write(tmp_path / "a.jsonl", records))[1]
    assert dict(row.options)[row.gold] == MEDMCQA["opc"]


@pytest.mark.parametrize("numbers", [(1, 2, 3), (0, 4), (None, "B")])
def test_medmcqa_that_does_not_show_it_is_refused_with_the_way_out(tmp_path, numbers):
    records = [{**MEDMCQA, "cop": number} for number in numbers]
    with pytest.raises(ValueError, match=r"field cop does not show .* medmcqa=FILE:from-0 or medmcqa=FILE:from-1"):
        read_source("medmcqa", write(tmp_path / "a.jsonl", records))


@pytest.mark.parametrize(("form", "golds"), [("from-0", "BC"), ("from-1", "AB")])
def test_of_a_part_of_medmcqa_the_user_says_where_it_counts_from(tmp_path, form, golds):
    path = write(tmp_path / "a.jsonl", [{**MEDMCQA, "id": f"m{number}", "cop": number} for number in (1, 2)])
    assert "".join(row.gold for row in read_source("medmcqa", f"{path}:{form}")) == golds
    with pytest.raises(ValueError, match="ends in 'from-2'; write medmcqa=FILE:from-0 or FILE:from-1"):
        read_source("medmcqa", f"{path}:from-2")


def test_the_test_split_of_medmcqa_has_no_answers(tmp_path):
    path = write(tmp_path / "a.jsonl", [{**MEDMCQA, "id": f"m{number}", "cop": -1} for number in range(2)])
    with pytest.raises(ValueError, match="field cop is -1 in all records: the test split has no answers"):
        read_source("medmcqa", path)


MEDQA = {"question": STEM, "options": OPTIONS, "answer_idx": "C"}
MMLU_PRO = {"question_id": 1, "question": STEM, "options": ["a", "b"], "answer_index": 1, "category": "health"}


@pytest.mark.parametrize(
    ("name", "good", "wrong", "message"),
    [
        ("medqa", MEDQA, {"answer_idx": None}, "field answer_idx is empty; it must hold text"),
        ("medqa", MEDQA, {"answer_idx": "E"}, "field answer_idx holds 'E'; it must be one of the options A, B, C, D"),
        ("medqa", MEDQA, {"answer_idx": "Rest"}, "field answer_idx holds a text of 4 characters; it must be one of"),
        ("medqa", MEDQA, {"question": " "}, "field question is empty; it must hold text"),
        ("medqa", MEDQA, {"question": ["x"]}, "field question holds a list; it must hold text"),
        ("medqa", MEDQA, {"options": None}, "field options holds a NoneType; it must map letters to options"),
        ("medqa", MEDQA, {"options": ["x"] * 27}, "field options has 27 options; there are 26 letters"),
        ("medqa", MEDQA, {"question": "\ud800"}, "field question has half a character"),
        ("medqa", MEDQA, {"options": "A) x B) y"}, "field options holds a text of 9 characters"),
        ("medqa", MEDQA, {"options": {}}, "field options has 0 options; a question needs at least two"),
        ("medqa", MEDQA, {"options": {"A": "x", "B": None}}, "field options has 1 options"),
        ("medqa", MEDQA, {"options": {"A": "x", "C": " "}}, "field options has no text for option C"),
        (
            "medqa", MEDQA, {"options": {"A": "x", "B": "y", "C": " x"}},
            "field answer_idx is option C, which has the text of option A; the right option must stand once",
        ),
        ("mmlu-pro", MMLU_PRO, {"answer_index": 2}, "field answer_index is 2; the options are numbered 0, 1"),
        ("mmlu-pro", MMLU_PRO, {"answer_index": "B"}, "field answer_index holds 'B'; it must be a whole number"),
        ("mmlu-pro", MMLU_PRO, {"options": ["a", None, "c"]}, "field answer_index is 1; the options are numbered 0, 2"),
        ("medmcqa", {**MEDMCQA, "cop": 0}, {"cop": -1}, "field cop is -1; the options are numbered 0, 1, 2, 3"),
        ("medcalc", OFFICIAL_CALCULATION, {"Ground Truth Answer": ""}, "field Ground Truth Answer is empty"),
        (
            "medcalc", OFFICIAL_CALCULATION, {"Lower Limit": "25"},
            "field Lower Limit is 25 and Upper Limit is 24; the lower one is above the upper one",
        ),
        (
            "medcalc", OFFICIAL_CALCULATION, {"Ground Truth Answer": "02/30/2020"},
            "field Ground Truth Answer holds a date that does not exist; it must be a date MM/DD/YYYY",
        ),
        (
            "pubmedqa", FORMS[8][1], {"final_decision": "perhaps"},
            "field final_decision holds a text of 7 characters; it must be one of yes, no, maybe",
        ),
        ("pubmedqa", FORMS[8][1], {"context": {"contexts": []}}, "field context.contexts is an empty list; it must"),
        ("mediq", FORMS[3][1], {"context": "One."}, "field context holds a text of 4 characters; it must be a list"),
        ("medxpertqa", FORMS[5][1], {"question": "Answer Choices: (A) x"}, "field question has nothing before its"),
        ("medical-o1", FORMS[11][1], {"problem": "<Question></Question>"}, "field problem has nothing between its"),
        ("medical-o1", FORMS[11][1], {"answer": "<answer> </answer>"}, "field answer has nothing between its tags"),
    ],
)  # fmt: skip
def test_a_broken_record_is_named_by_place_and_field(tmp_path, name, good, wrong, message):
    path = write(tmp_path / "a.json", [good, {**good, **wrong}])
    with pytest.raises(ValueError, match=rf"a\.json, record 1: {message}"):
        read_source(name, path)
    with pytest.raises(ValueError, match="record 1"):
        prepare([f"{name}={path}"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "record", "field"),
    [
        ("mediq", FORMS[3][1], "id"),
        ("medcalc", OFFICIAL_CALCULATION, "Row Number"),
        ("mmlu-pro", MMLU_PRO, "question_id"),
    ],
)
def test_two_records_of_one_id_are_refused(tmp_path, name, record, field):
    path = write(tmp_path / "a.json", [{**record, field: 1}, {**record, field: 2}, {**record, field: 1}])
    with pytest.raises(ValueError, match=rf"a\.json, record 2: field {field} is that of record 0 too; each record"):
        prepare([f"{name}={path}"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("C") | st.just("1/2/3"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.sampled_from("ABC"), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=100)
@given(data=st.data(), name=st.sampled_from(sorted(READERS)))
def test_whatever_a_record_holds_it_is_read_or_refused_in_one_sentence(tmp_path_factory, data, name):
    columns = data.draw(st.sampled_from(READERS[name].shapes)).columns
    record = {column: data.draw(JSON) for column in columns}
    path = write(tmp_path_factory.mktemp("any") / "a.json", [record])
    try:
        examples = read_source(name, path)
    except ValueError as error:
        assert "\n" not in str(error) and str(error).startswith(f"{name}={path}")
    else:
        assert all(example.question and example.gold for example in examples)


def test_other_columns_are_told_with_those_that_are_there(tmp_path):
    path = write(tmp_path / "a.json", [{"question": STEM, "choices": OPTIONS, "answer": "C"}])
    message = (
        r"medqa=.*a\.json: the columns options, answer_idx are missing \(there are question, choices, answer\); "
        r"needed are question, options, answer_idx \(official\)\.$"
    )
    with pytest.raises(ValueError, match=message):
        read_source("medqa", path)


def test_a_file_without_records_is_told(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n")
    with pytest.raises(ValueError, match=r"medqa=.*a\.jsonl has no records"):
        read_source("medqa", tmp_path / "a.jsonl")


SECRET = "Zebulon"


@pytest.mark.parametrize(
    "wrong",
    [
        {"answer": SECRET},
        {"answer": [SECRET]},
        {"note_1": [SECRET]},
        {"choice_A": SECRET, "choice_C": SECRET},
        {"choice_A": {SECRET: SECRET}, "choice_B": {SECRET: SECRET}},
        {"question": {SECRET: 1}},
    ],
)
def test_no_message_repeats_a_text_of_a_patient(tmp_path, wrong):
    record = {**EHRNOTEQA, "note_2": SECRET, **wrong}
    with pytest.raises(ValueError, match=r"record 1: field") as error:
        read_source("ehrnoteqa", write(tmp_path / "a.json", [EHRNOTEQA, record]))
    assert SECRET not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", f"{SECRET},said\nx,y\n"),
        ("a.csv", f'question,answer\n"{SECRET}'),
        ("a.csv", f"question,answer\n{SECRET}\n"),
        ("a.json", json.dumps({SECRET: 1})),
        ("a.json", json.dumps([SECRET])),
        ("a.json", f'[{{"{SECRET}": "{SECRET}'),
        ("a.jsonl", f'{{"note_1": "{SECRET}'),
        ("a.jsonl", json.dumps({SECRET: SECRET})),
    ],
)
def test_no_message_about_a_credentialed_file_repeats_what_it_holds(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError) as error:
        read_source("ehrnoteqa", tmp_path / name)
    assert SECRET not in str(error.value)


def test_of_a_patient_only_the_prompt_is_written(tmp_path, capfd):
    records = [
        {**EHRNOTEQA, "patient_id": 1000 + number, "note_1": f"{SECRET} has thumb {number}.", "answer": answer}
        for number, answer in enumerate("ABCDE")
    ]
    prepare([f"ehrnoteqa={write(tmp_path / 'a.json', records)}"], tmp_path / "out", test_share=0.4, keep_test_rows=True)
    rows = [
        row for split in ("train", "test") for row in pq.read_table(tmp_path / "out" / f"{split}.parquet").to_pylist()
    ]
    assert all(SECRET in row.pop("prompt")[-1]["content"] for row in rows) and len(rows) == 5
    printed = capfd.readouterr()
    manifest = (tmp_path / "out" / "manifest.json").read_text()
    for text in (json.dumps(rows), printed.out, printed.err, manifest):
        assert SECRET not in text and "1002" not in text


def test_the_hub_is_asked_for_the_pinned_repository(monkeypatch):
    asked = []

    def read_hub(repository, config, split):
        asked.append((repository, config, split))
        return [("row 0", MEDQA)]

    monkeypatch.setattr("verl_medu1.data.sources.read_hub", read_hub)
    loaded = load_source("medqa", "hub")
    assert loaded.examples == [Example("MedQA", "medqa/0", "multiple_choice", STEM, "C", PAIRS)]
    assert load_source("medqa", "hub:test").provenance["split"] == "test"
    assert asked == [("GBaker/MedQA-USMLE-4-options", None, split) for split in ("train", "test")]
    assert loaded.provenance["hub"] == "GBaker/MedQA-USMLE-4-options" and len(loaded.provenance["sha256"]) == 64
    assert READERS["pubmedqa"].hub == Hub("qiaojin/PubMedQA", "train", "pqa_labeled")
