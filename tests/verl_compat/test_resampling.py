"""verl's statistics of a validation with questions that are alike resampled once: the same numbers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from verl.trainer.ppo import metric_utils

from verl_medu1.verl_compat import resampling

ANSWERS = st.lists(st.tuples(st.sampled_from([0.0, 1.0, 0.5]), st.sampled_from("ABC")), min_size=2, max_size=4)


OWN = metric_utils.bootstrap_metric.__wrapped__  # verl's


def statistics(questions):
    sources, names, infos = [], [], {"acc": [], "pred": []}
    for number, answers in enumerate(questions):
        for value, prediction in answers:
            sources.append("source")
            names.append(str(number))
            infos["acc"].append(value)
            infos["pred"].append(prediction)
    return metric_utils.process_validation_metrics(sources, names, infos)


@settings(max_examples=15)
@given(st.lists(ANSWERS, min_size=1, max_size=6))
def test_the_statistics_are_verl_s(questions):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metric_utils, "bootstrap_metric", OWN)
        expected = statistics(questions)
    assert statistics(questions) == expected


@pytest.fixture
def draws(monkeypatch):
    """The calls of verl's own function."""
    calls = []

    def draw(*arguments):
        calls.append(arguments)
        return OWN(*arguments)

    monkeypatch.setattr(metric_utils, "bootstrap_metric", resampling.kept_by_pattern(draw))
    return calls


def test_questions_that_are_alike_are_resampled_once(draws):
    alike = [[(1.0, "A"), (0.0, "B")], [(1.0, "C"), (0.0, "A")]]
    statistics(alike * 50)
    assert len(draws) == 2  # best and worst, and the majority
    statistics([[(1.0, "A"), (0.0, "A")]])
    assert len(draws) == 3  # the same values, and another majority


def test_what_is_kept_has_a_bound(draws, monkeypatch):
    monkeypatch.setattr(resampling, "_MOST_KEPT", 3)
    for value in [1.0, 2.0, 3.0, 4.0, 4.0, 1.0]:
        metric_utils.bootstrap_metric([value], 1, [max])
    assert [data for data, *_ in draws] == [[1.0], [2.0], [3.0], [4.0], [1.0]]
