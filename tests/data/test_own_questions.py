"""`--source own=FILE:TYPE`: a user's own questions, from a table or from JSON, through to their scorer."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer

from reward_score import compute_score
from reward_score.checklist import read_checklist
from tests.data.test_sources import write
from verl_medu1.cli.prepare import prepare
from verl_medu1.cli.validate import validate
from verl_medu1.data.sources import load_source, read_source
from verl_medu1.environments.consultation import Consultation
from verl_medu1.environments.examinations import Examinations

TABLES = {
    "multiple_choice": "question,A,B,C,answer\nWhich organ?,Heart,Lung,,b\nWhich drug?,Rest,Tea,Ice,C\n",
    "calculation": "id;context;question;answer;lower_limit;upper_limit;unit\n"
    "x;A man of 70 kg.;What is his BMI?;22.9;21.7;24;kg/m²\ny;A man of 70 kg.;His weight?;70;;;kg\n",
    "open_ended": "question\tanswer\nWhich vitamin is lacking in scurvy?\tvitamin C\nAnd in rickets?\tvitamin D\n",
}


def rows_of(path: Path) -> list[dict]:
    return pq.read_table(path).to_pylist()


def test_all_three_types_make_one_mixture_that_is_scored_under_its_own_names(tmp_path, capsys):
    sources = []
    for kind, table in TABLES.items():
        (tmp_path / f"{kind}.csv").write_text(table, encoding="utf-8")
        sources.append(f"own={tmp_path / f'{kind}.csv'}:{kind}")
    prepare(sources, tmp_path / "out", test_share=0.0, cap=["own-open_ended=1"])
    rows = {row["extra_info"]["row_id"]: row for row in rows_of(tmp_path / "out" / "train.parquet")}
    assert rows.keys() >= {"own-multiple_choice/0", "own-multiple_choice/1", "own-calculation/x", "own-calculation/y"}
    assert len(rows) == 5
    for row in rows.values():
        gold = row["reward_model"]["ground_truth"]
        response = f"<think>because</think><answer>{gold}</answer>"
        assert row["data_source"] == f"own-{row['ability']}"
        assert compute_score(row["data_source"], response, gold, row["extra_info"])["score"] == 1.0
    choice, result = rows["own-multiple_choice/0"], rows["own-calculation/x"]
    assert choice["prompt"][-1]["content"].startswith("Which organ?\nA. Heart\nB. Lung\nAnswer")
    assert result["prompt"][-1]["content"].startswith("A man of 70 kg.\nWhat is his BMI?")
    info = result["extra_info"]
    assert (info["lower_limit"], info["upper_limit"], info["unit"]) == (21.7, 24.0, "kg/m²")
    validate(str(tmp_path / "out" / "train.parquet"))
    assert "All 5 gold answers are right" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["sources"].keys() == {
        f"own-{kind}" for kind in TABLES
    }


def test_questions_about_one_context_stay_together(tmp_path):
    records = [{"context": f"Note {n // 3}.", "question": f"{n}?", "answer": n} for n in range(30)]
    prepare([f"own={write(tmp_path / 'a.json', records)}:calculation"], tmp_path / "out", test_share=0.3)
    notes = [
        {row["prompt"][-1]["content"].split("\n")[0] for row in rows_of(tmp_path / "out" / f"{split}.parquet")}
        for split in ("train", "test")
    ]
    assert notes[0] and notes[1] and not notes[0] & notes[1]


@pytest.mark.parametrize(
    "options", [{"A": "x", "B": "y"}, ["x", "y"], [{"letter": "A", "text": "x"}, {"letter": "B", "text": "y"}]]
)
def test_options_may_stand_in_one_field(tmp_path, options):
    record = {"context": ["One.", "Two."], "question": "Which?", "options": options, "answer": "B"}
    path = write(tmp_path / "a.jsonl", [record])
    [row] = read_source("own", f"{path}:multiple_choice")
    assert (row.question, row.options, row.gold) == ("One.\nTwo.\nWhich?", (("A", "x"), ("B", "y")), "B")


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (["own=FILE"], r"what kind of answer .* is not stated; write own=FILE:multiple_choice or own=FILE:calculation"),
        (["own=FILE:multiple-choice"], "ends in 'multiple-choice'; write own=FILE:multiple_choice or FILE:calculation"),
        (["own=FILE:open_ended", "own=FILE:open_ended"], "--source own-open_ended is given twice"),
        (["own=hub"], "own is on no hub; give your own copy"),
        (["own=FILE:multiple_choice"], "record 0: field options has 0 options; a question needs at least two"),
        (["own=none.json:open_ended"], "none.json can't be read"),
    ],
)
def test_a_mistake_is_named(tmp_path, sources, message):
    path = write(tmp_path / "a.json", [{"question": "Which?", "answer": "A"}])
    with pytest.raises(ValueError, match=message):
        prepare([source.replace("FILE", str(path)) for source in sources], tmp_path / "out")


def test_a_file_whose_name_has_a_colon_is_a_file(tmp_path):
    path = write(tmp_path / "a:calculation", [])
    with pytest.raises(ValueError, match="give a file that ends in"):
        load_source("own", path)


@pytest.mark.parametrize(
    "given", [["Lou Gehrig's disease", "motor neurone disease"], "Lou Gehrig's disease | motor neurone disease"]
)
def test_other_wordings_of_an_answer_are_right_too(tmp_path, given):
    gold = "Amyotrophic lateral sclerosis (ALS)"
    records = [
        {"question": "Which disease is it?", "answer": gold, "aliases": given},
        {"question": "And?", "answer": "x"},
    ]
    prepare([f"own={write(tmp_path / 'a.json', records)}:open_ended"], tmp_path / "out", test_share=0.0)
    rows = {row["extra_info"]["row_id"]: row for row in rows_of(tmp_path / "out" / "train.parquet")}
    info = rows["own-open_ended/0"]["extra_info"]
    stated = ["Amyotrophic lateral sclerosis", "ALS"]
    assert info["aliases"] == ["Lou Gehrig's disease", "motor neurone disease", *stated]
    assert rows["own-open_ended/1"]["extra_info"]["aliases"] == []
    for answer, is_right in (
        ("Lou Gehrig disease", True),
        ("Motor neurone disease.", True),
        ("ALS", True),
        ("MS", False),
    ):
        response = f"<think>because</think><answer>{answer}</answer>"
        assert (compute_score("own-open_ended", response, gold, info)["score"] == 1.0) is is_right, answer


def test_aliases_that_are_no_texts_are_named(tmp_path, capsys):
    records = [{"question": f"Which {n}?", "answer": "x", "aliases": ["y"] if n else [["y"]]} for n in range(30)]
    prepare([f"own={write(tmp_path / 'a.json', records)}:open_ended"], tmp_path / "out")
    assert "record 0: field aliases holds a list; it must hold text" in capsys.readouterr().err


CHECKLIST = [
    {"statement": "The dose is 5 mg", "number": 5, "weight": 2},
    {"statement": "Names heparin", "aliases": ["heparin", "UFH"]},
    {"statement": "Recommends aspirin", "must_not": True},
]


@pytest.mark.parametrize("as_text", [False, True])
def test_a_checklist_reaches_the_row_and_the_judge_reads_it_there(tmp_path, as_text, capsys):
    given = json.dumps(CHECKLIST) if as_text else CHECKLIST
    records = [
        {"question": "Which drug and dose?", "answer": "Heparin 5 mg", "checklist": given},
        {"question": "And?", "answer": "x", "checklist": None},
        {"question": "What else?", "answer": "y", "checklist": ""},
    ]
    prepare([f"own={write(tmp_path / 'a.json', records)}:open_ended"], tmp_path / "out", test_share=0.0)
    path = tmp_path / "out" / "train.parquet"
    rows = {row["extra_info"]["row_id"]: row["extra_info"] for row in rows_of(path)}
    assert read_checklist(rows["own-open_ended/0"]["checklist"]) == read_checklist(CHECKLIST)
    assert rows["own-open_ended/1"]["checklist"] is rows["own-open_ended/2"]["checklist"] is None
    validate(str(path))
    assert "All 3 gold answers are right" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("checklist", "sentence"),
    [
        ([{"statement": "Names it", "weight": -1}], "can't be read (checklist, item 0: weight is -1: Input should be"),
        ([*CHECKLIST, {"statment": "Mr Smith"}], "can't be read (checklist, item 3: statement: Field required"),
        (CHECKLIST[2:], "can't be read (checklist has must-nots only"),
        ({"statement": "Names it"}, "can't be read (checklist must be a list of items, and is of type dict"),
        ("Names it", "is a text that is not JSON"),
        (5, "can't be read (checklist must be a list of items, and is of type int"),
    ],
)
def test_a_checklist_that_cannot_be_read_is_named_with_its_record(tmp_path, capsys, checklist, sentence):
    records: list[dict] = [{"question": f"Which {n}?", "answer": "x"} for n in range(30)]
    records[7]["checklist"] = checklist
    prepare([f"own={write(tmp_path / 'a.json', records)}:open_ended"], tmp_path / "out")
    said = capsys.readouterr().err
    assert f"record 7: field checklist {sentence}" in said and "it must be a list of items as in docs/judge.md" in said
    assert "Smith" not in said


def test_validate_checks_the_checklists_of_any_file(tmp_path, capsys):
    row = {"data_source": "own-open_ended", "ground_truth": "heparin"}
    rows = [{**row, "extra_info": {"checklist": items}} for items in (CHECKLIST, [{"statement": ""}])]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    with pytest.raises(typer.Exit):
        validate(str(path))
    out = capsys.readouterr().out
    assert "1 of 2 gold answers are not right" in out and "checklist, item 0" in " ".join(out.split())


def test_a_safe_range_reaches_the_scorer(tmp_path):
    table = "question,answer,lower_limit,upper_limit,safe_upper\nHow many mg?,39,38,42,39\nHow many mL?,5,,,\n"
    (tmp_path / "doses.csv").write_text(table)
    prepare([f"own={tmp_path / 'doses.csv'}:calculation"], tmp_path / "out", test_share=0.0)
    rows = {row["extra_info"]["row_id"]: row for row in rows_of(tmp_path / "out" / "train.parquet")}
    info = rows["own-calculation/0"]["extra_info"]
    assert (info["safe_lower"], info["safe_upper"]) == (None, 39.0)
    assert rows["own-calculation/1"]["extra_info"]["safe_upper"] is None
    found = compute_score("own-calculation", "<think>a</think><answer>41</answer>", "39", info)
    assert (found["acc"], found["unsafe"]) == (1.0, 1.0)


@pytest.mark.parametrize("evidence", [["d1", "d2"], "d1|d2"])
def test_evidence_and_stage_reach_the_row(tmp_path, evidence):
    record = {"question": "Which drug?", "options": ["a", "b"], "answer": "B", "stage": "retrieve"}
    record["evidence"] = evidence
    prepare([f"own={write(tmp_path / 'a.json', [record])}:multiple_choice"], tmp_path / "out", test_share=0.0)
    (row,) = rows_of(tmp_path / "out" / "train.parquet")
    assert json.loads(row["extra_info"]["environment"]) == {"evidence": ["d1", "d2"]}
    assert row["extra_info"]["stage"] == "retrieve"


@pytest.mark.parametrize("as_text", [False, True])
def test_what_an_environment_must_know_reaches_the_row(tmp_path, as_text):
    case = {"budget": 2, "findings": {"fever": True}, "must_ask": {"flu": ["fever"]}}
    record = {"question": "What is it?", "answer": "flu", "evidence": ["d1"]}
    record["environment"] = json.dumps(case) if as_text else case
    prepare([f"own={write(tmp_path / 'a.json', [record])}:open_ended"], tmp_path / "out", test_share=0.0)
    (row,) = rows_of(tmp_path / "out" / "train.parquet")
    assert json.loads(row["extra_info"]["environment"]) == {**case, "evidence": ["d1"]}
    patient = Consultation({}).start(row)
    assert patient.facts() == {"asked": [], "budget": 2, "unasked": ["flu"]}


def test_a_prompt_lists_the_examinations_of_its_row_and_no_result(tmp_path):
    case = {"examinations": {"CRP": {"price": 5, "result": "high"}, "CT": {"price": 200.5, "result": "clear"}}}
    record = {"question": "What is it?", "options": ["flu", "cold"], "answer": "A", "environment": json.dumps(case)}
    prepare([f"own={write(tmp_path / 'a.json', [record])}:multiple_choice"], tmp_path / "out", test_share=0.0)
    (row,) = rows_of(tmp_path / "out" / "train.parquet")
    prompt = row["prompt"][-1]["content"]
    assert prompt.startswith("What is it?\nExaminations: CRP 5, CT 200.5.\nA. flu") and "high" not in prompt
    assert Examinations({}).start(row).facts() == {"done": [], "examination_cost": 0}


def test_patients_who_share_a_catalogue_are_no_duplicates(tmp_path):
    catalogue = {f"Examination number {n} of the body": {"price": n, "result": "clear"} for n in range(40)}
    records = [
        {
            "question": f"The patient complains of {complaint}.",
            "answer": "flu",
            "environment": {"examinations": catalogue},
        }
        for complaint in ("fever and rash", "a painful knee", "blurred vision", "loss of weight", "a dry cough")
    ]
    prepare([f"own={write(tmp_path / 'a.json', records)}:open_ended"], tmp_path / "out", test_share=0.4)
    assert [len(rows_of(tmp_path / "out" / f"{split}.parquet")) for split in ("train", "test")] == [3, 2]


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (
            {"environment": {"examinations": {"CT": 5}}},
            "field environment has an examination 'CT' with the price 'None'",
        ),
        (
            {"environment": '{"examinations": {"CT": {"price": 1' + "0" * 400 + ', "result": "a"}}}'},
            "field environment has an",
        ),
        ({"environment": "1" * 5000}, "field environment holds"),
        ({"environment": "[" * 200_000}, "field environment holds"),
        ({"environment": "{"}, "field environment holds '{'; it must be an object, or JSON of one"),
        ({"environment": "[1]"}, "field environment"),
        ({"environment": [1]}, "field environment"),
        ({"stage": "search"}, "field stage holds a text of 6 characters; it must be one of reason, retrieve, joint"),
        ({"evidence": {"a": 1}}, "field evidence"),
    ],
)
def test_a_stage_or_evidence_that_can_not_be_read_is_named(tmp_path, capsys, columns, sentence):
    records: list[dict] = [{"question": f"Which {n}?", "answer": "x"} for n in range(30)]
    records[7] |= columns
    prepare([f"own={write(tmp_path / 'a.json', records)}:open_ended"], tmp_path / "out")
    assert f"record 7: {sentence}" in capsys.readouterr().err
