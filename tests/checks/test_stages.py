"""Rows of the stage retrieve: what searches should find is named, or its gain is measured."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from verl_medu1.checks.run import check
from verl_medu1.retrieval.build import build_index

LOOP = "actor_rollout_ref.rollout.agent"
EPISODES = [
    f"{LOOP}.default_agent_loop=medu1_episode",
    "actor_rollout_ref.rollout.enable_chunked_prefill=false",
    "episodes.environment=search",
    "episodes.max_turn_tokens=64",
    "episodes.max_observation_tokens=64",
]


@pytest.fixture
def staged(inputs: Path, tmp_path: Path) -> str:
    """The override for a training file in which every second row is of the stage retrieve, and one names evidence."""
    table = pq.read_table(inputs / "data" / "train.parquet")
    infos = table["extra_info"].to_pylist()
    for info in infos[::2]:
        info["stage"] = "retrieve"
    infos[0]["environment"] = json.dumps({"evidence": ["a"]})
    place = table.schema.get_field_index("extra_info")
    column = pa.array(infos, table.schema.field(place).type)
    pq.write_table(table.set_column(place, table.schema.field(place), column), tmp_path / "stages.parquet")
    return f"data.train_files={tmp_path}/stages.parquet"


@pytest.mark.parametrize("overrides", [[], ["scoring.scheme=staged", "episodes.answer_gain=true"]])
def test_rows_that_can_be_rewarded_pass(configure: Any, staged: str, overrides: list[str], tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text('{"text": "rest"}')
    build_index([tmp_path / "corpus.jsonl"], tmp_path / "index")
    overrides = [*overrides, f"+episodes.settings.index={tmp_path}/index"]
    check(configure(staged, *EPISODES, "data.mixture.by=stage", *overrides))


def test_rows_without_evidence_are_counted(configure: Any, staged: str) -> None:
    with pytest.raises(ValueError, match=r"stages.parquet', where 31 rows of the stage 'retrieve' name no evidence"):
        check(configure(staged, *EPISODES, "scoring.scheme=staged"))


def test_a_stage_that_no_row_has(configure: Any) -> None:
    stages = "data.mixture.stages=[{families: [retrieve], share: 1}]"
    with pytest.raises(ValueError, match=r"names 'retrieve'; the training rows have joint"):
        check(configure("data.mixture.by=stage", stages))
