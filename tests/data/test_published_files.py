"""The files as benchmarks publish them, read, prepared and validated whole, where they are on this machine."""

import importlib.util
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import verl_medu1.evaluate
from tests.real_data import real_file
from verl_medu1.cli.prepare import prepare
from verl_medu1.cli.validate import validate

LM_EVAL_UTILS = Path(verl_medu1.evaluate.__path__[0]) / "lm_eval_tasks" / "utils.py"
# file -> (source, records, what can't be used)
FILES = {
    "medmcqa_validation.parquet": ("medmcqa", 4182, {"field cop: the right option must stand once": 4}),
    "mediq_all_dev_good.jsonl": ("mediq", 1272, {}),
    "pubmedqa_ori_pqal.json": ("pubmedqa", 1000, {}),
}


@pytest.mark.parametrize("file", FILES)
def test_each_is_prepared_and_validated(tmp_path, capsys, file):
    source, number, unusable = FILES[file]
    prepare([f"{source}={real_file(file)}"], tmp_path)
    entry = json.loads((tmp_path / "manifest.json").read_text())["sources"][source]
    assert (entry["read"], entry["unusable"], entry["unscorable"]) == (number, unusable, [])
    left_out = sum(entry[step] for step in ("exact_duplicates", "near_duplicates", "contaminated"))
    assert entry["train"] + entry["test"] + left_out == number - sum(unusable.values())
    rows = 0
    for split in ("train", "test"):
        validate(str(tmp_path / f"{split}.parquet"))
        rows += pq.read_metadata(tmp_path / f"{split}.parquet").num_rows
    told = capsys.readouterr()
    assert rows == entry["train"] + entry["test"] and told.out.count("gold answers are right") == 2
    assert told.err.count("left out: ") == sum(unusable.values())


def test_the_tasks_of_lm_eval_ask_the_same_questions():
    datasets = pytest.importorskip("datasets", reason="the package datasets is not installed")
    spec = importlib.util.spec_from_file_location("lm_eval_utils", LM_EVAL_UTILS)
    assert spec is not None and spec.loader is not None
    utils = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(utils)
    records = datasets.Dataset.from_parquet(str(real_file("medmcqa_validation.parquet")))
    assert len(utils.medmcqa(records)) == 4178
