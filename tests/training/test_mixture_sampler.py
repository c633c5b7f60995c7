"""Batches hold every family, in the shares and stages that were asked for, and go on where a checkpoint was saved."""

import doctest
from collections import Counter
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from torchdata.stateful_dataloader import StatefulDataLoader

from verl_medu1.data.families import families_of, read_families
from verl_medu1.training import mixture_sampler
from verl_medu1.training.mixture_sampler import MixtureSampler, Stage, batch_families, plan_stages

WEIGHTS = st.dictionaries(st.sampled_from("abcdef"), st.floats(0.01, 100), min_size=1)


@given(WEIGHTS, st.integers(0, 20))
def test_every_batch_has_every_family(weights: dict[str, float], more: int) -> None:
    size = len(weights) + more
    for batch in islice(batch_families(weights, size), 50):
        assert len(batch) == size and set(batch) == set(weights)


@given(st.dictionaries(st.sampled_from("abc"), st.floats(1, 3), min_size=1), st.integers(12, 30))
def test_shares_are_kept_over_the_batches(weights: dict[str, float], size: int) -> None:
    """Where each family has at least one place by its weight."""
    batches = 40
    places = Counter(family for batch in islice(batch_families(weights, size), batches) for family in batch)
    for family, weight in weights.items():
        assert abs(places[family] - batches * size * weight / sum(weights.values())) <= len(weights)


def test_a_rare_family_has_one_place() -> None:
    batches = list(islice(batch_families({"often": 1e6, "rare": 1}, 4), 100))
    assert all(batch.count("rare") == 1 for batch in batches)


def test_each_row_comes_once_before_any_comes_again() -> None:
    families = ["a"] * 7 + ["b"] * 3
    order = iter(MixtureSampler(families, [Stage(1, {"a": 1, "b": 1})], batch_size=2, seed=0))
    drawn = [row for row in islice(order, 28) if families[row] == "a"]
    assert sorted(drawn[:7]) == sorted(drawn[7:14]) == list(range(7))
    assert drawn[:7] != drawn[7:14]


@pytest.mark.parametrize(
    ("weights", "stages", "expected"),
    [
        (None, None, [(10, {"closed": 30, "open": 10})]),
        ({"closed": 1, "open": 2}, None, [(10, {"closed": 1, "open": 2})]),
        (
            None,
            [{"families": ["closed"], "share": 1}, {"families": ["closed", "open"], "share": 2}],
            [(3, {"closed": 30}), (7, {"closed": 30, "open": 10})],
        ),
    ],
)
def test_stages(weights, stages, expected) -> None:
    planned = plan_stages({"closed": 30, "open": 10}, weights, stages, 10)
    assert [(stage.steps, dict(stage.weights)) for stage in planned] == expected


def test_closed_questions_come_before_open_ones() -> None:
    families = ["closed"] * 5 + ["open"] * 5
    stages = plan_stages(Counter(families), None, [{"families": [name], "share": 1} for name in ("closed", "open")], 4)
    order = list(islice(iter(MixtureSampler(families, stages, batch_size=3, seed=1)), 15))
    assert [families[row] for row in order] == ["closed"] * 6 + ["open"] * 9


def test_levels_of_a_selection_are_families(tmp_path: Path) -> None:
    rows = [{"ability": "calculation", "extra_info": {"level": f"L{1 + row % 2}"}} for row in range(6)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    families = read_families(tmp_path / "train.parquet", "level")
    assert families == families_of(Dataset.from_list(rows), "level") == ["L1", "L2"] * 3
    stages = plan_stages(Counter(families), None, [{"families": [name], "share": 1} for name in ("L1", "L2")], 2)
    order = list(islice(iter(MixtureSampler(families, stages, batch_size=3, seed=1)), 6))
    assert [families[row] for row in order] == ["L1"] * 3 + ["L2"] * 3


def test_a_row_without_a_stage_is_one_whose_answer_alone_counts(tmp_path: Path) -> None:
    for name, infos in {"a": [{"stage": "reason"}, {"stage": None}], "b": [{"row_id": "1"}]}.items():
        rows = [{"extra_info": info} for info in infos]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
    assert [read_families(tmp_path / name, "stage") for name in "ab"] == [["reason", "joint"], ["joint"]]
    assert families_of(Dataset.from_list([{"extra_info": {"stage": None}}]), "stage") == ["joint"]


def test_a_file_without_levels_has_no_family(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([{"extra_info": {"row_id": "1"}}]), tmp_path / "train.parquet")
    assert read_families(tmp_path / "train.parquet", "level") == [None]
    assert read_families(tmp_path / "train.parquet", "ability") == [None]


def test_another_seed_is_another_order() -> None:
    def order(seed: int) -> list[int]:
        return list(islice(iter(MixtureSampler(["a"] * 20, [Stage(1, {"a": 1})], 4, seed)), 20))

    assert order(1) == order(1) != order(2)


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_loader_goes_on_where_it_was_saved(num_workers: int, batch_size: int) -> None:
    families = ["a"] * 5 + ["b"] * 2 + ["c"] * 9
    stages = plan_stages(
        Counter(families), None, [{"families": list("ab"), "share": 1}, {"families": ["c"], "share": 2}], 9
    )

    def loader() -> StatefulDataLoader:
        sampler = MixtureSampler(families, stages, batch_size=4, seed=3)
        return StatefulDataLoader(
            list(range(16)), batch_size, num_workers=num_workers, sampler=sampler, collate_fn=list
        )

    straight = loader()
    batches = iter(straight)
    before = list(islice(batches, 7))
    state = straight.state_dict()
    expected = list(islice(batches, 20))
    resumed = loader()
    resumed.load_state_dict(state)
    assert list(islice(iter(resumed), 20)) == expected
    assert before + expected == list(islice(iter(loader()), 27))


def test_docstring_examples() -> None:
    assert doctest.testmod(mixture_sampler).failed == 0
