"""A mixture by level needs rows that `medu1 select` gave levels."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from omegaconf import DictConfig, OmegaConf

from verl_medu1.checks.mixture import mixture_violations
from verl_medu1.data.selected_rows import read_rows, write_selected
from verl_medu1.data.selection import Outcome, PassRate

STAGES = [{"families": ["L1"], "share": 1}, {"families": ["L1", "L2"], "share": 1}]


@pytest.fixture
def selected(inputs: Path, tmp_path: Path) -> str:
    """The quickstart's training rows on two levels."""
    data = inputs / "data" / "train.parquet"
    schema, rows = read_rows(data)
    outcomes = [Outcome("", f"L{1 + place % 2}") for place in range(len(rows))]
    write_selected(data, tmp_path / "out", schema, rows, [PassRate(1, 2)] * len(rows), outcomes, {})
    return str(tmp_path / "out" / "train.parquet")


def configured(configure, **mixture) -> DictConfig:
    config = configure()
    OmegaConf.update(config, "data.mixture", {"by": "level", **mixture})
    return config


@pytest.mark.parametrize("mixture", [{}, {"stages": STAGES}, {"weights": {"L1": 1, "L2": 3}}])
def test_levels_are_families(configure, selected, mixture):
    assert list(mixture_violations(configured(configure, **mixture), [selected])) == []


def test_unknown_levels_are_named(configure, selected):
    stages = [{"families": ["L1", "L2"], "share": 1}, {"families": ["L3"], "share": 1}]
    (said,) = mixture_violations(configured(configure, stages=stages), [selected])
    assert said == "data.mixture.stages[1] names 'L3'; the training rows have L1, L2."


def test_rows_without_a_level_are_refused_with_the_way_out(configure, inputs, selected, tmp_path):
    plain = str(inputs / "data" / "train.parquet")
    table = pq.read_table(selected)
    pq.write_table(table.drop_columns(["extra_info"]), tmp_path / "bare.parquet")
    for files in ([plain], [selected, plain], [str(tmp_path / "bare.parquet")]):
        (said,) = mixture_violations(configured(configure), files)
        assert f"{files[-1]!r} has 64 rows without one; `medu1 select --levels N` writes them." in said
