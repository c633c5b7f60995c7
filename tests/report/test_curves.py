"""Curves over the steps: their points, the data sources, and the levels of difficulty."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_medu1.report.curves import MAX_POINTS, binned, curves, smoothed, source_styles

BY_LEVEL = "accuracy by level of difficulty over the steps"


@given(st.lists(st.floats(-100, 100) | st.just(float("nan")), min_size=1, max_size=40), st.integers(1, 10))
def test_bins_and_moving_means_stay_within_the_values(values: list[float], points: int) -> None:
    steps, means = binned(dict(enumerate(values)), points)
    assert len(steps) == len(means) == min(points, len(values))
    finite = [value for value in values if np.isfinite(value)]
    for series in (means, smoothed(np.array(values))):
        inside = series[np.isfinite(series)]
        if finite:
            assert ((inside >= min(finite) - 1e-9) & (inside <= max(finite) + 1e-9)).all()
        else:
            assert not inside.size


def test_long_runs_are_drawn_with_a_bounded_number_of_points() -> None:
    scalars = {"reward/a/b/acc/mean": {step: 0.5 for step in range(20_000)}}
    assert list(source_styles(scalars)) == ["a/b"]
    assert len(binned(scalars["reward/a/b/acc/mean"])[0]) == MAX_POINTS
    assert len(curves({"run": scalars})[0].uri) < 100_000


@pytest.mark.parametrize(("with_levels", "figures"), [([], 0), (["graded"], 1), (["graded", "again"], 2)])
def test_accuracy_by_level_has_a_figure_for_each_run_with_levels(with_levels: list[str], figures: int) -> None:
    plain = {"reward/MedQA/acc/mean": {1: 0.5, 2: 0.5}}
    levels = {f"level/{level}/acc/mean": {1: 0.5, 2: float("nan")} for level in ("L10", "L2", "a/$b<i>")}
    runs = {"plain": plain} | dict.fromkeys(with_levels, plain | levels)
    found = curves(runs)
    assert [figure.alt for figure in found].count(BY_LEVEL) == figures
    assert all(figure.png.startswith(b"\x89PNG") for figure in found)


def test_levels_are_no_data_sources_and_the_easiest_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    scalars = {f"level/{level}/acc/mean": {1: 0.5} for level in ("L10", "L2", "L1")}
    assert source_styles(scalars) == {}
    drawn = []
    monkeypatch.setattr("matplotlib.figure.Figure.legend", lambda self, handles, labels, **_: drawn.append(labels))
    curves({"run": scalars})
    assert drawn == [["L1", "L2", "L10"]]
