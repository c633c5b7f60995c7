"""Metrics of a validation: the means are verl's, and only reward and accuracy have verl's other statistics."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from verl.trainer.ppo.metric_utils import process_validation_metrics
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from verl_medu1.training.validation_metrics import component_means, resampled

VALUES = st.one_of(st.none(), st.floats(-10, 10), st.booleans())


@given(st.integers(0, 2**32), st.lists(st.tuples(st.sampled_from("st"), st.sampled_from("pqr"), VALUES), min_size=1))
def test_the_means_are_those_of_verl(seed: int, rows: list[tuple[str, str, Any]]) -> None:
    random.Random(seed).shuffle(rows)
    sources, questions, values = (list(column) for column in zip(*rows, strict=True))
    infos = {"length": values, "pred": ["B"] * len(rows), "reason": [""] * len(rows)}
    theirs = {
        f"val-aux/{source}/{name}/{statistic}": value
        for source, of_source in process_validation_metrics(sources, questions, infos).items()
        for name, statistics in of_source.items()
        for statistic, value in statistics.items()
        if statistic.startswith("mean")
    }
    assert component_means(sources, questions, infos) == pytest.approx(theirs)


def test_reward_and_accuracy_keep_their_statistics() -> None:
    infos = {name: [1.0, 0.0] for name in ("acc", "reward", "length")} | {"pred": ["B", "C"], "uid": ["a", "b"]}
    arguments = (["s"] * 2, ["p"] * 2, resampled(infos), [])
    theirs = PPOTrainerSync._val_metrics_update(PPOTrainerSync.__new__(PPOTrainerSync), *arguments)
    assert {name.split("/")[2] for name in theirs} == {"acc", "reward"}
    assert theirs["val-core/s/acc/best@2/mean"] > theirs["val-core/s/acc/mean@2"] == 0.5
