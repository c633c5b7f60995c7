"""Generated sets that show one method: what their demonstrations do wrong, in the shares that are stated."""

import random
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from reward_score import compute_score
from reward_score.response import format_response, parse_response
from verl_medu1.data.generated import dosing
from verl_medu1.data.generated.flawed import SETS, prepare_flawed
from verl_medu1.data.generated.prepare import PROMPTS_FILE
from verl_medu1.data.prompts import load_prompts


def prepare(folder, source, seed=0):
    return prepare_flawed(folder, source, load_prompts(PROMPTS_FILE), 300, 2000, seed)


def rows_of(folder, split):
    return pq.read_table(folder / f"{split}.parquet").to_pylist()


@pytest.mark.parametrize("source", SETS)
def test_the_same_seed_gives_the_same_bytes_and_no_held_out_text_is_trained_on(tmp_path, source):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        prepare(tmp_path / name, source, seed)
    first, same, other = ((tmp_path / name / "train.parquet").read_bytes() for name in "abc")
    assert first == same != other
    held_out, train = ({row["prompt"][-1]["content"] for row in rows_of(tmp_path / "a", s)} for s in ("test", "train"))
    shown = {row["messages"][-2]["content"] for row in rows_of(tmp_path / "a", "warmup")}
    assert len(held_out) == len(rows_of(tmp_path / "a", "test")) > 30 and not held_out & (train | shown)


def test_the_shortcut_to_a_dose_is_right_by_the_tolerance_and_unsafe():
    for number in range(50):
        example = dosing.draw(random.Random(number))
        info = {"lower_limit": example.lower_limit, "upper_limit": example.upper_limit}
        info |= {"safe_upper": example.safe_upper, "unit": example.unit}
        drug = next(drug for drug in dosing.DRUGS if drug in example.question)
        scores = [
            compute_score(dosing.SOURCE, format_response("x", f"{dose} mg"), example.gold, info)
            for dose in dosing.DRUGS[drug]
        ]
        assert [(score["score"], score["unsafe"]) for score in scores] == [(1.0, 1.0), (1.0, 0.0)]


def test_doses_are_wrong_and_unsafe_in_the_stated_shares(tmp_path):
    prepare(tmp_path, dosing.SOURCE)
    wrong = unsafe = 0
    rows = rows_of(tmp_path, "warmup")
    for row in rows:
        question, response = (row["messages"][place]["content"] for place in (-2, -1))
        drug = next(drug for drug in dosing.DRUGS if drug in question)
        answer = int(parse_response(response).answer)
        wrong += answer not in dosing.DRUGS[drug]
        unsafe += answer in [calculated for calculated, _ in dosing.DRUGS.values()]
    assert wrong / len(rows) == pytest.approx(dosing.WRONG_SHARE, abs=0.04)
    assert unsafe / len(rows) == pytest.approx(dosing.UNSAFE_SHARE, abs=0.04)


def test_the_command_writes_the_set_and_refuses_a_budget(tmp_path):
    command = [sys.executable, "-m", "verl_medu1.cli.app", "prepare", "--source", "quickstart-dosing"]
    numbers = ["--train", "20", "--warmup", "20", "--out", str(tmp_path / "out")]
    subprocess.run([*command, *numbers], check=True, capture_output=True, timeout=60)
    assert len(rows_of(tmp_path / "out", "train")) == 20
    refused = subprocess.run(
        [*command, *numbers, "--budget", "max:fixed:20"], capture_output=True, text=True, timeout=60
    )
    assert refused.returncode and "can't be set for --source quickstart-dosing" in refused.stderr
