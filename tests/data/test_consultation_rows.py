"""MediQ as consultations: a short record by hand, and the published file where it is on this machine."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.real_data import real_file
from verl_medu1.cli.prepare import prepare
from verl_medu1.cli.validate import validate
from verl_medu1.data.actions import ask_turn
from verl_medu1.data.budget import Budget
from verl_medu1.data.prompts import DEFAULT_FILE, load_prompts
from verl_medu1.data.sources import load_source
from verl_medu1.environments.consultation import Consultation
from verl_medu1.environments.naming import Names

RECORD = {
    "id": 7,
    "context": ["A girl of 5 years vomits.", "She is pale."],
    "facts": ["1. She is 5 years old.", "She vomits.", "3. She is pale."],
    "question": "What is the diagnosis?",
    "options": {"A": "Gastroenteritis", "B": "Cyclic vomiting syndrome (CVS)"},
    "answer_idx": "B",
}


def write(folder: Path, *records: dict[str, Any]) -> Path:
    file = folder / "mediq.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return file


def test_a_record_becomes_a_consultation(tmp_path: Path) -> None:
    file = write(tmp_path, RECORD)
    (example,) = load_source("mediq", f"{file}:consultation").examples
    assert example.question == "A girl of 5 years vomits.\nWhat is the diagnosis?"
    assert (example.row_id, example.gold, example.data_source) == ("mediq/7", "B", "MedIQ")
    knows = json.loads(example.environment)
    assert knows["facts"] == ["She is 5 years old.", "She vomits.", "She is pale."]
    assert {"Gastroenteritis", "Cyclic vomiting syndrome (CVS)", "Cyclic vomiting syndrome"} <= set(knows["names"])
    assert 2 <= knows["budget"] <= 10
    told = load_prompts().messages(example, Budget())[1]["content"]
    assert f"up to {knows['budget']} questions" in told and "<ask></ask>" in told and "pale" not in told
    (single,) = load_source("mediq", file).examples
    assert (single.environment, single.row_id) == ("", "mediq/7") and "pale" in single.question
    assert "<ask>" not in load_prompts().messages(single, Budget())[1]["content"]


@pytest.mark.parametrize(("field", "value"), [("facts", []), ("facts", None), ("context", []), ("facts", [["x"]])])
def test_a_record_without_facts_is_unusable(tmp_path: Path, field: str, value: Any) -> None:
    others = [{**RECORD, "id": 100 + number, "question": f"What is it, {number}?"} for number in range(30)]
    loaded = load_source("mediq", f"{write(tmp_path, {**RECORD, field: value}, *others)}:consultation")
    assert len(loaded.examples) == 30 and sum(loaded.unusable.values()) == 1


def test_another_form_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in 'episode'; write mediq=FILE:consultation"):
        load_source("mediq", f"{write(tmp_path, RECORD)}:episode")


def test_prompts_of_ones_own_may_leave_consultations_out_but_not_the_number(tmp_path: Path) -> None:
    file, content = tmp_path / "prompts.yaml", DEFAULT_FILE.read_text()
    file.write_text(content.replace("{questions}", "some"))
    with pytest.raises(ValueError, match=r"has consultation = .*it must hold \{questions\}"):
        load_prompts(file)
    file.write_text(content.replace("consultation:", "other:"))
    assert load_prompts(file).consultation == ""


def test_the_published_file_becomes_consultations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare([f"mediq={real_file('mediq_all_dev_good.jsonl')}:consultation"], tmp_path)
    entry = json.loads((tmp_path / "manifest.json").read_text())["sources"]["mediq"]
    # Three records have no case.
    assert (entry["read"], sum(entry["unusable"].values()), entry["unscorable"]) == (1272, 3, [])
    rows = [row for split in ("train", "test") for row in pq.read_table(tmp_path / f"{split}.parquet").to_pylist()]
    assert len(rows) > 1200
    environment, budgets, telling = Consultation({"silent": True}), Counter(), 0
    for row in rows:
        assert asyncio.run(environment.start(row).step(ask_turn("How long?"))) == "unknown"
        knows = json.loads(row["extra_info"]["environment"])
        budgets[knows["budget"]] += 1
        (gold,) = (
            one["text"] for one in row["extra_info"]["options"] if one["letter"] == row["reward_model"]["ground_truth"]
        )
        names = Names(knows["names"])
        # A number is no name.
        assert gold in knows["names"] and names.are_in(gold) == any(sign.isalpha() for sign in gold)
        telling += names.are_in("\n".join(knows["facts"]))
    assert set(budgets) == set(range(2, 11)) and min(budgets.values()) > 90
    # What an option says is seldom in the case, so that little is withheld that may be said.
    assert telling < 0.03 * len(rows)
    for split in ("train", "test"):
        validate(str(tmp_path / f"{split}.parquet"))
    capsys.readouterr()
