"""Generated calculations as questions: what a note says, golds, explanations, and rows of a mixture."""

import ast
import itertools
import json
import math
import operator
import random
import re
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import reward_score
from verl_medu1.cli.prepare import prepare
from verl_medu1.data.calculators import measures
from verl_medu1.data.calculators.catalogue import CALCULATORS
from verl_medu1.data.calculators.generate import Worked, generate
from verl_medu1.data.calculators.inputs import Choice, Finding, Number, Unit
from verl_medu1.data.calculators.notes import DISTRACTORS, phrases

ROOT = Path(__file__).resolve().parents[2]


def info(worked: Worked) -> dict:
    example = worked.example
    return {"lower_limit": example.lower_limit, "upper_limit": example.upper_limit, "unit": example.unit}


def test_each_printed_value_stands_in_the_note(rows):
    for worked in rows:
        note, _, question = worked.example.question.partition("\n")
        for name, finding in worked.findings.items():
            options = phrases()["options"].get(name)
            if name in ("age", "sex"):
                assert re.search(rf"\b{finding.value if name == 'sex' else int(finding.value)}\b", note)
            elif options:
                assert any(sentence in note for sentence in options[finding.value])
                others = [text for option, texts in options.items() if option != finding.value for text in texts]
                assert not any(sentence in note for sentence in others)
            else:
                assert re.search(rf"(?<![\w.]){re.escape(finding.text)}(?!\d)", note)
        calculator = CALCULATORS[worked.calculator]
        assert calculator.asked in question and calculator.unit in question


def test_each_unit_and_date_format_is_printed_and_stays_in_range(rows):
    seen: dict[str, set[str]] = {}
    for worked in rows:
        for item in CALCULATORS[worked.calculator].inputs:
            finding = worked.findings[item.name]
            if isinstance(item, Number):
                seen.setdefault(item.name, set()).add(finding.text.partition(" ")[2])
                assert item.low - 1e-9 <= finding.value <= item.high + 1e-9
                assert bool(finding.conversion) == (finding.text.partition(" ")[2] != item.unit)
    for calculator in CALCULATORS.values():
        for item in calculator.inputs:
            if isinstance(item, Number):
                assert seen[item.name] >= {unit.name for unit in item.others} | {item.unit}


@pytest.mark.parametrize(
    ("item", "text", "value"),
    [
        # Laboratory tables: 88.4 umol/L a mg/dL of creatinine, 18.0 of glucose, 2.8 of urea's nitrogen, 4.0 of calcium.
        (measures.CREATININE, "88 umol/L", 0.9955),
        (measures.GLUCOSE, "5.0 mmol/L", 90.08),
        (measures.UREA_NITROGEN, "5.0 mmol/L", 14.007),
        (measures.CALCIUM, "2.50 mmol/L", 10.02),
        (measures.ALBUMIN, "40 g/L", 4.0),
        (measures.SODIUM, "140 mmol/L", 140.0),
        (measures.WEIGHT, "154 lb", 69.853),
        (measures.HEIGHT, "70 in", 177.8),
        (measures.HEIGHT, "1.75 m", 175.0),
        (measures.TEMPERATURE, "98.6 °F", 37.0),
    ],
)
def test_units_are_converted_as_laboratories_do(item, text, value):
    number, _, name = text.partition(" ")
    unit = next(unit for unit in item.others if unit.name == name)
    assert item.in_formula_unit(float(number), unit) == pytest.approx(value, rel=1e-4)


def test_a_unit_that_cannot_be_converted_is_a_fault_of_the_table():
    with pytest.raises(AssertionError, match="weight: cm can't be converted to kg"):
        Number("weight", "kg", 1, 2).in_formula_unit(1.0, Unit("cm", 0))


def answer(text: str) -> str:
    return f"<think>because</think><answer>{text}</answer>"


def test_each_gold_is_right_by_its_scorer_and_what_lies_outside_is_wrong(rows):
    for worked in rows:
        example, extra = worked.example, info(worked)
        assert reward_score.check_gold(example.data_source, example.gold, extra) is None

        def right(text: str, example=example, extra=extra) -> bool:
            return reward_score.compute_score(example.data_source, answer(text), example.gold, extra)["acc"] == 1.0

        calculator = CALCULATORS[worked.calculator]
        assert right(example.gold) and right(f"{example.gold} {example.unit or ''}")
        if calculator.kind == "decimal":
            gold = float(example.gold)
            assert right(f"{1.04 * gold:.6f}") and not right(f"{1.06 * gold:.6f}") and not right(f"{0.94 * gold:.6f}")
        elif calculator.kind == "score":
            assert not right(f"{float(example.gold) + 1:g}") and not right(f"{float(example.gold) - 1:g}")
        elif calculator.kind == "date":
            gold_date = datetime.strptime(example.gold, "%m/%d/%Y").date()
            assert not right((gold_date + timedelta(days=1)).strftime("%m/%d/%Y"))
        else:
            weeks, days = map(int, re.findall(r"\d+", example.gold))
            assert not right(f"{weeks} weeks {(days + 1) % 7} days") and not right(f"{weeks + 1} weeks {days} days")


OPERATORS = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv, ast.Pow: pow,
}  # fmt: skip


def arithmetic(node: ast.AST) -> float:
    """The value of numbers, operators, sqrt and ln; anything else fails."""
    if isinstance(node, ast.Expression):
        return arithmetic(node.body)
    if isinstance(node, ast.BinOp):
        return OPERATORS[type(node.op)](arithmetic(node.left), arithmetic(node.right))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -arithmetic(node.operand)
    if isinstance(node, ast.Call):
        return {"sqrt": math.sqrt, "ln": math.log}[node.func.id](arithmetic(node.args[0]))
    assert isinstance(node, ast.Constant)
    return node.value


def test_the_last_step_of_an_explanation_gives_the_gold(rows):
    for worked in rows:
        calculator, example = CALCULATORS[worked.calculator], worked.example
        *_, step, end = worked.explanation.split(" = ")
        assert end == f"{example.gold}{f' {example.unit}' if example.unit else ''}."
        for finding in worked.findings.values():
            assert finding.conversion in worked.explanation
        if calculator.kind in ("decimal", "score") and worked.calculator != "meld_na":
            step = re.split(r": ", step)[-1].replace(" x ", " * ").replace("^", "**").replace(" in ", " ")
            # The steps show six digits.
            tolerance = 0.5 * 10**-calculator.decimals * (calculator.kind == "decimal")
            assert arithmetic(ast.parse(step, mode="eval")) == pytest.approx(
                float(example.gold), rel=1e-4, abs=1.01 * tolerance
            )


def test_the_same_seed_gives_the_same_questions():
    assert list(generate(200, 5)) == list(generate(200, 5))
    assert list(itertools.islice(generate(1000, 5), 200)) == list(generate(200, 5))
    first, other = ([worked.example.question for worked in generate(200, seed)] for seed in (5, 6))
    assert not set(first) & set(other) and len(set(first)) > 190


def test_no_number_of_questions_is_a_mistake_before_anything_is_drawn():
    with pytest.raises(ValueError, match="synthetic-calc=0 asks for no question; give at least 1"):
        generate(0, 1)


def test_what_a_note_needs_is_written_in_several_ways():
    every = [item for calculator in CALCULATORS.values() for item in (*calculator.inputs, *calculator.context)]
    for item in (*every, *DISTRACTORS):
        if item.name in ("age", "sex"):
            continue
        if isinstance(item, Choice):
            assert set(phrases()["options"][item.name]) == set(item.options)
            assert all(len(set(texts)) >= 2 for texts in phrases()["options"][item.name].values())
        else:
            texts = phrases()["values"][item.name]
            assert len(set(texts)) >= 2 and all("{value}" in text for text in texts)
    assert not {item.name for item in DISTRACTORS} & {item.name for item in every}
    assert not set(phrases()["values"]) - {item.name for item in (*every, *DISTRACTORS)}


def test_a_result_too_near_zero_for_its_limits_is_not_asked_for():
    calculator = CALCULATORS["corrected_anion_gap"]
    values = {"sodium": 120, "chloride": 110, "bicarbonate": 8, "albumin": 4.8}
    assert calculator.formula(**values) == pytest.approx(0) and not calculator.is_usable(values)
    assert calculator.is_usable(values | {"sodium": 130})


def test_a_finding_of_each_calculator_can_be_drawn_soon():
    earlier = {"last_period": Finding(date(2020, 1, 1), "")}
    for calculator in CALCULATORS.values():
        rng = random.Random(3)
        tries = [
            {item.name: found for item in calculator.inputs for found in [item.draw(rng, earlier)]} for _ in range(300)
        ]
        usable = sum(calculator.is_usable({name: found.value for name, found in one.items()}) for one in tries)
        assert usable > 60, calculator.name


def test_no_child_has_the_habits_of_an_adult(rows):
    habits = phrases()["distractors_of_adults"]
    found = {"children": set(), "adults": set()}
    for worked in rows:
        age = worked.findings.get("age")
        whose = "children" if age is not None and age.value < 18 else "adults"
        found[whose] |= {sentence for sentence in habits if sentence in worked.example.question}
    assert found == {"children": set(), "adults": set(habits)}


def test_the_page_lists_each_calculator_with_its_source():
    page = (ROOT / "docs" / "synthetic-calculations.md").read_text()
    for calculator in CALCULATORS.values():
        [source] = re.findall(r"Source: (.*)\.$", calculator.formula.__doc__, re.M)
        unit = {"decimal": calculator.unit or "ratio"}.get(calculator.kind, calculator.kind)
        assert f"| {calculator.asked} | {unit} | {source} |" in page.splitlines()


def rows_of(path: Path) -> list[dict]:
    return pq.read_table(path).to_pylist()


@pytest.fixture(scope="module")
def mixture(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mixture")
    records = [
        {"id": place, "problem": f"Case {place}.", "options": {"A": "this", "B": "that"}, "answer": "A"}
        for place in range(100)
    ]
    (folder / "mediq.json").write_text(json.dumps(records))
    for out in ("once", "again"):
        prepare(["synthetic-calc=500", f"mediq={folder / 'mediq.json'}"], folder / out, seed=4, warmup=200)
    return folder


def test_calculations_stand_beside_a_file(mixture):
    manifest = json.loads((mixture / "once" / "manifest.json").read_text())
    entry = manifest["sources"]["synthetic-calc"]
    assert entry["generated"] == entry["read"] == 500 and entry["train"] + entry["test"] == 500
    assert entry["unscorable"] == [] and "file" not in entry and manifest["sources"]["mediq"]["file"] == "mediq.json"
    assert manifest["rows"]["train"] == {"MedIQ": 90, "synthetic-calc": entry["train"]}
    questions = {
        split: {row["prompt"][1]["content"] for row in rows_of(mixture / "once" / f"{split}.parquet")}
        for split in ("train", "test")
    }
    assert not questions["train"] & questions["test"]
    for name in ("train.parquet", "test.parquet", "warmup.parquet", "manifest.json"):
        assert (mixture / "once" / name).read_bytes() == (mixture / "again" / name).read_bytes()


def test_calculations_of_a_benchmark_with_the_same_seed_are_left_out(tmp_path):
    prepare(["synthetic-calc=20"], tmp_path / "held-out", test_share=0.0)
    benchmark = [str(tmp_path / "held-out" / "train.parquet")]
    held_out = {row["extra_info"]["row_id"] for row in rows_of(tmp_path / "held-out" / "train.parquet")}
    for keep, left in ((False, 40), (True, 60)):
        prepare(["synthetic-calc=60"], tmp_path / "out", test_share=0.0, benchmark=benchmark, keep_contaminated=keep)
        rows = {row["extra_info"]["row_id"] for row in rows_of(tmp_path / "out" / "train.parquet")}
        assert len(rows) == left and bool(rows & held_out) == keep
        manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
        assert manifest["sources"]["synthetic-calc"]["contaminated"] == 20


def test_demonstrations_of_calculations_are_worked_and_right(mixture):
    rows = {row["prompt"][1]["content"]: row for row in rows_of(mixture / "once" / "train.parquet")}
    worked = {one.example.row_id: one.explanation for one in generate(500, 4)}
    seen = set()
    for demonstration in rows_of(mixture / "once" / "warmup.parquet"):
        row = rows[demonstration["messages"][1]["content"]]
        gold, extra, response = row["reward_model"]["ground_truth"], row["extra_info"], demonstration["messages"][-1]
        assert reward_score.compute_score(row["data_source"], response["content"], gold, extra)["score"] == 1.0
        if row["data_source"] == "synthetic-calc":
            assert f"<think>{worked[extra['row_id']]}</think>" in response["content"]
        seen.add(row["data_source"])
    assert seen == {"synthetic-calc", "MedIQ"}


def test_only_the_formulas_that_are_named(tmp_path):
    prepare(["synthetic-calc=30:map,bmi"], tmp_path / "some", seed=3)
    asked = [row["extra_info"]["unit"] for row in rows_of(tmp_path / "some" / "train.parquet")]
    assert set(asked) == {"mm Hg", "kg/m^2"}
    assert json.loads((tmp_path / "some" / "manifest.json").read_text())["sources"]["synthetic-calc"]["formulas"] == [
        "map",
        "bmi",
    ]


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (
            ["synthetic-calc=ten"],
            "--source synthetic-calc is 'ten'; write synthetic-calc=N or synthetic-calc=N:FORMULA",
        ),
        (["synthetic-calc=-5"], "whole number"),
        (["synthetic-calc=5:map,gout"], "has no formula 'gout'; choose from bmi, "),
        (["synthetic-calc=:map"], "whole number"),
        (["synthetic-calc=0"], "asks for no question; give at least 1"),
        (["synthetic-calc=5", "synthetic-calc=6"], "given twice"),
    ],
)
def test_a_mistaken_number_of_questions_is_named_and_nothing_is_written(tmp_path, source, sentence):
    with pytest.raises(ValueError, match=sentence):
        prepare(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
