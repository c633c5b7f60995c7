"""Records that can't be used: counted, told by place and field, and the end of the command where they are many."""

import doctest
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.data.test_sources import BMI, MEDMCQA, MMLU_PRO, NOTE, OFFICIAL_CALCULATION, OPTIONS, STEM, write
from verl_medu1.cli.prepare import prepare
from verl_medu1.data import counts, records, sources, storage
from verl_medu1.data.sources import fields, load_source, read_source, results, usable

MEDQA = [
    {"question": f"{STEM} ({number})", "options": OPTIONS, "answer_idx": "ABCD"[number % 4]} for number in range(40)
]
MEDIQ = {"context": ["A sailor rests."], "question": STEM, "options": OPTIONS, "answer_idx": "C"}
PUBMEDQA = {"pubid": 1, "question": "Does rest help?", "context": {"contexts": ["Yes."]}, "final_decision": "yes"}
GOLD = "Ground Truth Answer"
VERIFIABLE = {"Open-ended Verifiable Question": STEM, "Ground-True Answer": "x"}
CALCULATION = {
    "Row Number": 1, "Patient Note": NOTE, "Question": BMI,
    GOLD: "22.9", "Lower Limit": "21.7", "Upper Limit": "24",
}  # fmt: skip


def manifest(out: Path) -> dict:
    return json.loads((out / "manifest.json").read_text())


def test_they_are_counted_told_and_left_out(tmp_path, capsys):
    records = [*MEDQA, MEDQA[0] | {"answer_idx": "E"}, MEDQA[0] | {"question": None}, MEDQA[0] | {"question": " "}]
    prepare([f"medqa={write(tmp_path / 'a.json', records)}"], tmp_path / "out", max_unusable=0.1)
    entry = manifest(tmp_path / "out")["sources"]["medqa"]
    assert (entry["read"], entry["train"] + entry["test"]) == (43, 40)
    assert entry["unusable"] == {
        "field answer_idx: it must be one of the options A, B, C, D": 1,
        "field question: it must hold text": 2,
    }
    told = capsys.readouterr()
    assert "│ unusable" in told.out and told.err.splitlines() == [
        f"left out: medqa={tmp_path / 'a.json'}, record 40: field answer_idx holds 'E'; "
        "it must be one of the options A, B, C, D",
        f"left out: medqa={tmp_path / 'a.json'}, record 41: field question is empty; it must hold text",
        f"left out: medqa={tmp_path / 'a.json'}, record 42: field question is empty; it must hold text",
    ]


def test_only_the_first_ten_are_listed(tmp_path, capsys):
    records = [*MEDQA, *({"question": None, "options": OPTIONS, "answer_idx": "A"} for _ in range(13))]
    load_source("medqa", write(tmp_path / "a.json", records), max_unusable=0.5)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11 and "record 49" in lines[9]
    assert lines[10].endswith("a.json: 3 more records")


@pytest.mark.parametrize(("num_broken", "given", "share"), [(3, None, "0.05"), (3, 0.06, "0.06"), (1, 0.0, "0")])
def test_too_many_end_the_command_with_the_first(tmp_path, num_broken, given, share):
    records = [*MEDQA, *({**MEDQA[0], "answer_idx": None} for _ in range(num_broken))]
    path = write(tmp_path / "a.json", records)
    message = (
        rf"a\.json, record 40: field answer_idx is empty; it must hold text \({num_broken} of {40 + num_broken} "
        rf"records can't be used; fix the file, or raise --max-unusable, which is {share}\)\.$"
    )
    with pytest.raises(ValueError, match=message):
        prepare([f"medqa={path}"], tmp_path / "out", max_unusable=given)
    assert not (tmp_path / "out").exists()
    prepare([f"medqa={path}"], tmp_path / "out", max_unusable=0.07)


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_the_share_is_one(tmp_path, share):
    with pytest.raises(ValueError, match=r"--max-unusable is .*; it must be from 0 to 1"):
        prepare(["medqa=a.json"], tmp_path / "out", max_unusable=share)


@pytest.mark.parametrize(
    ("texts", "cop", "expected"),
    [
        # As in the published validation file: 17 rows of the first kind, 4 of the second.
        (("a", "b", "b", "c"), 0, ({"A": "a", "B": "b", "D": "c"}, "A")),
        (("a", "b", "c", "c"), 1, ({"A": "a", "B": "b", "C": "c"}, "B")),
        (("a", "b", "c ", "c"), 1, ({"A": "a", "B": "b", "C": "c"}, "B")),
        (("a", "b", "b", "c"), 2, "field cop is option C, which has the text of option B"),
        (("a", "a", "a", "a"), 0, "field cop is option A, which has the text of option B"),
    ],
)
def test_a_repeated_option_is_dropped_unless_it_is_the_right_one(tmp_path, texts, cop, expected):
    columns = dict(zip(("opa", "opb", "opc", "opd"), texts, strict=True))
    records = [{**MEDMCQA, "id": "0", "cop": 0}, {**MEDMCQA, **columns, "id": "1", "cop": cop}]
    path = write(tmp_path / "a.jsonl", records)
    if isinstance(expected, str):
        with pytest.raises(ValueError, match=rf"line 2: {expected}; the right option must stand once"):
            read_source("medmcqa", f"{path}:from-0")
    else:
        row = read_source("medmcqa", f"{path}:from-0")[1]
        assert (dict(row.options), row.gold) == expected


@pytest.mark.parametrize("context", [[], [" "], [None]])
def test_mediq_without_a_case_is_its_question(tmp_path, context):
    [row] = read_source("mediq", write(tmp_path / "a.json", [{**MEDIQ, "context": context}]))
    assert row.question == STEM


OPTION_FORMS = [
    {"A": "x", "B": "y"},
    {"a": "x", "b": "y"},
    {"A": "x", "B": "y", "C": None, "D": float("nan")},
    {"A": "A. x", "B": "B. y"},
    ["x", "y"],
    ["A. x", "B. y"],
    ["(A) x", "(B) y"],
    ["x", "y", float("nan")],
    [{"key": "A", "value": "x"}, {"key": "B", "value": "y"}],
    [{"letter": "A", "content": "x"}, {"letter": "B", "content": "y"}],
    [{"letter": "A", "text": "x"}, {"letter": "B", "text": "y"}],
    [{"option": "A", "text": "x"}, {"option": "B", "text": "y"}],
]


@pytest.mark.parametrize("options", OPTION_FORMS)
def test_each_published_form_of_options_is_read(tmp_path, options):
    [row] = read_source("medqa", write(tmp_path / "a.json", [{**MEDQA[0], "options": options, "answer_idx": "b"}]))
    assert (row.options, row.gold) == ((("A", "x"), ("B", "y")), "B")


def test_numbers_are_options_and_a_letter_before_one_text_is_its_own(tmp_path):
    [row] = read_source("medqa", write(tmp_path / "a.json", [MEDQA[0] | {"options": [1, 2.5, "C. difficile"]}]))
    assert row.options == (("A", "1"), ("B", "2.5"), ("C", "C. difficile"))


# (source, good record, field, what stands there, the message): cases of public bug reports.
CASES = [
    ("medqa", MEDQA[0], "options", [{"key": "A"}, {"key": "B"}], "field options lists objects of another form"),
    ("medqa", MEDQA[0], "options", ["x", {"text": "y"}], "field options lists objects of another form"),
    ("medqa", MEDQA[0], "options", {"A": ["x"], "B": "y"}, "field options holds a list; it must hold text"),
    ("medqa", MEDQA[0], "options", {"A": True, "B": "y"}, "field options holds a bool; it must hold text"),
    ("medqa", MEDQA[0], "options", {"key": ["A", "B"]}, "field options has a text of 3 characters for a letter"),
    ("medqa", MEDQA[0], "options", {"1": "x", "2": "y"}, "field options has '1' for a letter; the letters"),
    ("medqa", MEDQA[0], "options", {"А": "x", "В": "y"}, "field options has 'А' for a letter"),
    ("medqa", MEDQA[0], "options", {"a": "x", "A": "y"}, "field options has the letter A twice"),
    ("medqa", MEDQA[0], "options", "{'A': 'x'}", "field options holds a text of 10 characters; it must map letters"),
    ("medqa", MEDQA[0], "answer_idx", 0, "field answer_idx holds '0'; it must be one of the options A, B, C, D"),
    ("medqa", MEDQA[0], "answer_idx", "(B)", "field answer_idx holds a text of 3 characters; it must be one of"),
    ("medqa", MEDQA[0], "answer_idx", {"key": "A"}, "field answer_idx holds a dict; it must hold text"),
    ("medqa", MEDQA[0], "question", True, "field question holds a bool; it must hold text"),
    ("medqa", MEDQA[0], "question", float("inf"), "field question holds a float; it must hold text"),
    ("mediq", MEDIQ, "context", [["x"]], "field context holds a list; it must hold text"),
    ("mediq", MEDIQ, "context", None, "field context holds a NoneType; it must be a list of texts"),
    ("mediq", MEDIQ, "id", ["x"], "field id holds a list; it must hold text"),
    ("pubmedqa", PUBMEDQA, "context", {"contexts": []}, "field context.contexts is an empty list; it must hold 1 text"),
    ("pubmedqa", PUBMEDQA, "context", {"contexts": [{"text": "x"}]}, "field context.contexts holds a dict"),
    ("mmlu-pro", MMLU_PRO, "options", ["a", "N/A"], "field options has 1 options; a question needs at least two"),
    ("medcalc", CALCULATION, "Lower Limit", "25,51", "field Lower Limit holds a text of 5 characters; it must be a n"),
    ("medcalc", CALCULATION, "Upper Limit", "nan", "field Upper Limit holds a text of 3 characters; it must"),
    ("medcalc", CALCULATION, "Upper Limit", "1_000", "field Upper Limit holds a text of 5 characters; it must"),
    ("medcalc", CALCULATION, "Upper Limit", "", "field Upper Limit is empty; a result has both limits or none"),
    ("medcalc", CALCULATION, "Upper Limit", [24], "field Upper Limit holds a list; it must be a number"),
    ("medcalc", CALCULATION, "Upper Limit", 10**400, "field Upper Limit is not finite; it must be a number"),
    ("medcalc", CALCULATION, GOLD, "1,370", f"field {GOLD} has a comma in its number; a number has a decimal point"),
    ("medcalc", CALCULATION, GOLD, "22,9 kg/m²", f"field {GOLD} has a comma in its number"),
    ("medcalc", CALCULATION, GOLD, "02/30/2020", f"field {GOLD} holds a date that does not exist; it must be a date"),
    ("medical-o1-verifiable", VERIFIABLE, "Ground-True Answer", "", "field Ground-True Answer is empty; it must hold"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "good", "field", "value", "message"), CASES)
def test_what_is_no_text_and_no_number_is_named_and_left_out(tmp_path, name, good, field, value, message, capsys):
    path = write(tmp_path / "a.json", [good, {**good, field: value}])
    with pytest.raises(ValueError, match="record 1: field") as error:
        read_source(name, path)
    assert f"a.json, record 1: {message}" in str(error.value)
    loaded = load_source(name, path, max_unusable=0.5)
    assert len(loaded.examples) == 1 and sum(loaded.unusable.values()) == 1
    assert message in capsys.readouterr().err


def test_the_second_of_two_records_with_one_id_is_left_out(tmp_path):
    records = [{**MEDIQ, "id": number % 30, "question": f"{STEM} {number}"} for number in range(31)]
    loaded = load_source("mediq", write(tmp_path / "a.json", records))
    assert [row.row_id for row in loaded.examples] == [f"mediq/{number}" for number in range(30)]
    assert loaded.examples[0].question.endswith(" 0")
    assert loaded.unusable == {"field id: each record needs an id of its own": 1}


@pytest.mark.parametrize(("own_id", "row_id"), [(7.0, "mediq/7"), (None, "mediq/0"), ("", "mediq/0"), ("a", "mediq/a")])
def test_ids_as_tables_hold_them(tmp_path, own_id, row_id):
    assert read_source("mediq", write(tmp_path / "a.json", [{**MEDIQ, "id": own_id}]))[0].row_id == row_id


def test_the_first_record_may_be_the_broken_one(tmp_path):
    records = [{"question": STEM}, *MEDQA]
    assert len(read_source("medqa", write(tmp_path / "a.json", records))) == 40


def test_limits_of_dates_and_durations_are_texts(tmp_path):
    records = [
        {**CALCULATION, "Row Number": number, "Ground Truth Answer": gold, "Lower Limit": gold, "Upper Limit": gold}
        for number, gold in enumerate(("10/08/2020", "('17 weeks', '6 days')"))
    ]
    rows = read_source("medcalc", write(tmp_path / "a.json", records))
    assert [(row.lower_limit, row.upper_limit) for row in rows] == [(None, None)] * 2


def test_mmlu_pro_drops_what_fills_up_its_options_and_needs_a_health_question(tmp_path):
    padded = {**MMLU_PRO, "options": ["a", "b", "N/A", "N/A"]}
    assert read_source("mmlu-pro", write(tmp_path / "a.json", [padded]))[0].options == (("A", "a"), ("B", "b"))
    with pytest.raises(ValueError, match=r"law\.json: none of its 1 records has category health"):
        read_source("mmlu-pro", write(tmp_path / "law.json", [{**MMLU_PRO, "category": "law"}]))


def test_the_authors_own_mapping_of_pubmedqa(tmp_path):
    record = {"QUESTION": "Does rest help?", "CONTEXTS": ["Ten.", "All rested."], "final_decision": "no"}
    path = tmp_path / "ori_pqal.json"
    path.write_text(json.dumps({"21645374": record}))
    [row] = read_source("pubmedqa", path)
    assert (row.row_id, row.gold) == ("pubmedqa/21645374", "B")
    assert row.question == "Ten.\nAll rested.\nDoes rest help?"


def excel(delimiter: str, comma: bool, first: str = "") -> str:
    """The same two calculations as a spreadsheet writes them."""
    rows = [[value.replace(".", ",") if comma else value for value in ("22.9", "21.7", "24.0")] for _ in range(2)]
    header = ["Row Number", "Patient Note", "Question", "Ground Truth Answer", "Lower Limit", "Upper Limit"]
    lines = [header, *([str(number), f"Note {number}.", BMI, *row] for number, row in enumerate(rows))]
    return first + "".join(delimiter.join(f'"{cell}"' for cell in line) + "\r\n" for line in lines)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (excel(",", comma=False), 2),
        (excel(";", comma=False), 2),
        (excel("\t", comma=False), 2),
        (excel(";", comma=False, first="sep=;\r\n"), 2),
        (excel(",", comma=True), "line 2: field Ground Truth Answer has a comma in its number"),
        (excel(";", comma=True), "line 2: field Ground Truth Answer has a comma in its number"),
    ],
)
def test_spreadsheets(tmp_path, content, expected):
    path = tmp_path / "a.csv"
    path.write_bytes(content.encode("utf-8-sig"))
    if isinstance(expected, int):
        rows = read_source("medcalc", path)
        assert [(row.gold, row.lower_limit, row.upper_limit) for row in rows] == [("22.9", 21.7, 24.0)] * expected
    else:
        with pytest.raises(ValueError, match=expected):
            read_source("medcalc", path)


def test_no_row_to_train_on_is_an_error(tmp_path):
    records = [{**OFFICIAL_CALCULATION, "Row Number": number, "Ground Truth Answer": "high"} for number in range(3)]
    path = write(tmp_path / "a.json", [{**record, "Lower Limit": "", "Upper Limit": ""} for record in records])
    with pytest.raises(
        ValueError, match=r"no row is left to train on \(medcalc: 3 read, 3 can't be scored \(medcalc/0: "
    ):
        prepare([f"medcalc={path}"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("number", "share", "rows"), [(2, 0.1, (1, 1)), (5, 0.1, (4, 1)), (5, 0.0, (5, None))])
def test_few_rows_leave_one_to_test_with_and_no_file_is_empty(tmp_path, number, share, rows):
    prepare([f"medqa={write(tmp_path / 'a.json', MEDQA[:number])}"], tmp_path / "out", test_share=share)
    files = [tmp_path / "out" / f"{split}.parquet" for split in ("train", "test")]
    assert tuple(pq.read_table(file).num_rows if file.exists() else None for file in files) == rows


def test_no_row_to_test_with_is_an_error_unless_none_is_asked_for(tmp_path):
    path = write(tmp_path / "a.json", MEDQA[:1])
    with pytest.raises(ValueError, match=r"--test-share is 0\.1, and no row could be held out: .* or --test-share 0"):
        prepare([f"medqa={path}"], tmp_path / "out")
    prepare([f"medqa={path}"], tmp_path / "out", test_share=0.0)


def test_a_data_set_is_replaced_knowingly_and_nothing_else_is(tmp_path, capsys):
    source, out = [f"medqa={write(tmp_path / 'a.json', MEDQA)}"], tmp_path / "out"
    prepare(source, out, warmup=3)
    assert "replaced" not in capsys.readouterr().err
    (out / "mine.txt").write_text("mine")
    prepare(source, out, seed=1, test_share=0.0)
    assert (
        f"{out}: an earlier data set was replaced (train.parquet, test.parquet, warmup.parquet)"
        in capsys.readouterr().err
    )
    assert sorted(path.name for path in out.iterdir()) == ["manifest.json", "mine.txt", "train.parquet"]
    for manifest in (None, "{}", "[1", '{"files": 3}'):
        (out / "manifest.json").unlink(missing_ok=True)
        if manifest is not None:
            (out / "manifest.json").write_text(manifest)
        before = {path.name: path.read_bytes() for path in out.iterdir()}
        for again in (source, ["quickstart"]):
            with pytest.raises(ValueError, match=r"--out .*out holds ma?i?n.* and no manifest\.json of medu1 prepare"):
                prepare(again, out)
        assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_manifest_reaches_no_file_outside(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "outside.txt").write_text("mine")
    (tmp_path / "out" / "manifest.json").write_text(json.dumps({"files": {"../outside.txt": {}, "..": {}}}))
    prepare([f"medqa={write(tmp_path / 'a.json', MEDQA)}"], tmp_path / "out")
    assert (tmp_path / "outside.txt").read_text() == "mine"


@pytest.mark.parametrize("module", [counts, fields, records, results, sources, storage, usable])
def test_docstring_examples(module):
    assert doctest.testmod(module).failed == 0
