"""What is checked of checklists, and of `scoring.checklist`, before a run starts."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import DictConfig, OmegaConf

from verl_medu1.checks.checklist import checklist_violations
from verl_medu1.checks.rewards import reward_source_violations, scoring_violations, trainer_violations
from verl_medu1.config.compose import compose_config

JUDGE = {"base_url": "http://127.0.0.1:8000/v1", "model": "m"}
RULE = {"statement": "Names the dose", "aliases": ["5 mg"]}
FOR_JUDGE = {"statement": "Is polite"}


def rows_with(folder: Path, *checklists: list[dict[str, Any]] | None) -> str:
    path = folder / "train.parquet"
    item = {"statement": pa.string(), "weight": pa.float64(), "aliases": pa.list_(pa.string())}
    kind = pa.list_(pa.struct(list(item.items())))
    schema = pa.schema([("extra_info", pa.struct([("question", pa.string()), ("checklist", kind)]))])
    rows = [{"extra_info": {"question": "q", "checklist": checklist}} for checklist in checklists]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return str(path)


def config(train: str | list[str] | None, judge: bool = False, **checklist: Any) -> DictConfig:
    scoring = {
        "judge": JUDGE if judge else {"base_url": None},
        "checklist": {"items_per_step": None, "audit_share": 0.0, **checklist},
    }
    return OmegaConf.create({"scoring": scoring, "data": {"train_files": train, "val_files": None}})


def test_checklists_need_a_judge_and_must_be_readable(tmp_path):
    path = rows_with(tmp_path, [FOR_JUDGE], None)
    assert list(checklist_violations(config(path, judge=True))) == []
    [sentence] = checklist_violations(config(path))
    assert "1 rows have extra_info.checklist with items without a rule" in sentence
    path = rows_with(tmp_path, [{**FOR_JUDGE, "weight": -2.0}], None)
    [sentence] = checklist_violations(config(path, judge=True))
    assert "checklist, item 0: weight is -2.0" in sentence
    assert list(checklist_violations(config(rows_with(tmp_path, None, None)))) == []


@pytest.mark.parametrize("items", [0, -1, 1.5, True, "2", "all"])
def test_a_number_of_items_is_a_size(tmp_path, items):
    [sentence] = checklist_violations(config(rows_with(tmp_path, [RULE]), items_per_step=items))
    assert sentence.startswith(
        f"scoring.checklist.items_per_step is {items!r}; it must be a whole number of at least 1"
    )


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), float("inf"), True, "0.1", None])
def test_a_share_is_from_0_to_1(tmp_path, share):
    [sentence] = checklist_violations(config(rows_with(tmp_path, [RULE]), judge=True, audit_share=share))
    assert sentence.startswith(f"scoring.checklist.audit_share is {share!r}; it must be a number from 0 to 1")


@pytest.mark.parametrize("share", [0, 0.05, 1])
def test_an_audit_needs_a_judge(tmp_path, share):
    path = rows_with(tmp_path, [RULE])
    assert list(checklist_violations(config(path, judge=True, audit_share=share))) == []
    found = list(checklist_violations(config(path, audit_share=share)))
    assert len(found) == (share > 0) and all(
        "is null, so that nobody is asked; name the judge's" in one for one in found
    )


def test_a_setting_that_no_row_is_for_is_refused(tmp_path):
    with_rule, for_judge, without = [], [], []
    for found, checklist in ((with_rule, [RULE]), (for_judge, [FOR_JUDGE]), (without, None)):
        (folder := tmp_path / str(len(list(tmp_path.iterdir())))).mkdir()
        found.append(rows_with(folder, checklist))
    on = {"judge": True, "audit_share": 0.1}
    assert list(checklist_violations(config(with_rule + without, **on))) == []
    [sentence] = checklist_violations(config(for_judge + without, **on))
    assert "no row of data.train_files has extra_info.checklist with an item that a rule decides" in sentence
    assert list(checklist_violations(config(for_judge + without, judge=True, items_per_step=2))) == []
    [sentence] = checklist_violations(config(without, items_per_step=2))
    assert "scoring.checklist.items_per_step is 2, and no row of data.train_files has extra_info.checklist" in sentence
    # Another check reports the missing file, of which nothing is known.
    assert list(checklist_violations(config([*without, str(tmp_path / "none.parquet")], items_per_step=2))) == []
    assert list(checklist_violations(config(None, items_per_step=2))) == []


def test_they_are_part_of_the_checks_of_a_run():
    composed = compose_config(
        ["recipe=advice-cpu", "scoring.checklist.items_per_step=0", "scoring.checklist.audit_share=0.1"]
    )
    assert [one.split(" is ")[0] for one in scoring_violations(composed)] == [
        "scoring.checklist.items_per_step",
        "scoring.checklist.audit_share",
    ]


def test_what_draws_no_items_is_refused_with_them():
    items = ["recipe=advice-cpu", "scoring.checklist.items_per_step=2"]
    assert not [*trainer_violations(compose_config(items)), *reward_source_violations(compose_config(items))]
    [sentence] = trainer_violations(compose_config([*items, "trainer.v1.trainer_mode=sync"]))
    assert "verl's own, which scores all items of a checklist" in sentence
    other = [*items, "scoring.scheme=gated_binary", "reward.custom_reward_function.path=pkg://json"]
    assert any(one.startswith("scoring.* is set") for one in reward_source_violations(compose_config(other)))
