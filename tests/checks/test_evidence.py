"""Evidence that no search can find is counted before a run."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from verl_medu1.checks.evidence import evidence_notice
from verl_medu1.retrieval.build import build_index

EPISODES = ["actor_rollout_ref.rollout.agent.default_agent_loop=medu1_episode", "episodes.environment=search"]


@pytest.fixture
def named(inputs: Path, tmp_path: Path) -> Any:
    """Write a training file whose first rows name evidence, and return the overrides for it and an index."""

    def write(*evidence: list[str]) -> list[str]:
        table = pq.read_table(inputs / "data" / "train.parquet")
        infos = table["extra_info"].to_pylist()
        for info, ids in zip(infos, evidence, strict=False):
            info["environment"] = json.dumps({"evidence": ids})
        place = table.schema.get_field_index("extra_info")
        column = pa.array(infos, table.schema.field(place).type)
        pq.write_table(table.set_column(place, table.schema.field(place), column), tmp_path / "named.parquet")
        corpus = tmp_path / "corpus.jsonl"
        corpus.write_text("".join(json.dumps({"id": name, "text": "rest"}) + "\n" for name in "abc"))
        build_index([corpus], tmp_path / "index")
        return [f"data.train_files={tmp_path}/named.parquet", f"+episodes.settings.index={tmp_path}/index"]

    return write


def test_they_are_counted_once_and_one_is_named(configure: Any, named: Any) -> None:
    notice = evidence_notice(configure(*EPISODES, *named(["a", "x"], ["x", "y"], ["c"])))
    assert notice and notice.startswith("2 of the 4 documents that rows name as evidence are not in the index")
    assert "such as 'x'" in notice


@pytest.mark.parametrize("evidence", [[], [["a"], ["b", "c"]]])
def test_nothing_is_said_where_all_are_there(configure: Any, named: Any, evidence: list[list[str]]) -> None:
    assert evidence_notice(configure(*EPISODES, *named(*evidence))) is None


def test_a_server_and_another_environment_are_not_asked(configure: Any, named: Any) -> None:
    files, _ = named(["x"])
    assert evidence_notice(configure(files)) is None
    address = "+episodes.settings.address=http://127.0.0.1:1/retrieve"
    assert evidence_notice(configure(files, *EPISODES, address)) is None


def test_a_row_that_can_not_be_read_is_named_with_its_file(configure: Any, named: Any) -> None:
    config = configure(*EPISODES, *named(["a"], [1]))  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"^episodes.environment is 'search', and in .*named.parquet row '.*' has an"):
        evidence_notice(config)
