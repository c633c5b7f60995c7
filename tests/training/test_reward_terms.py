"""What rewards get for components with a weight, when, and where nothing says what that is."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from verl_medu1.training.reward_terms import KEYS, added_terms, weights_of_terms
from verl_medu1.training.trainer import MedU1Trainer

GAIN = {"answer_gain": 1.0}


def test_the_gain_of_each_response_and_none_of_padding() -> None:
    samples = [{"answer_gain": 0.5}, {"answer_gain": -0.25}, {"answer_gain": 9.0}]
    assert added_terms(samples, [False, False, True], GAIN).tolist() == [0.5, -0.25, 0.0]


def test_each_component_has_its_own_weight() -> None:
    samples = [{"answer_gain": 0.5, "perception": 1.0}, {"answer_gain": 1.0, "perception": 0.0}]
    assert added_terms(samples, [False, False], {"answer_gain": 2.0, "perception": 0.5}).tolist() == [1.5, 2.0]


def test_only_components_with_a_weight_count() -> None:
    def weights(*values: float | None) -> dict[str, float]:
        config = OmegaConf.create({})
        for key, value in zip(KEYS.values(), values, strict=True):
            OmegaConf.update(config, key, value)
        return weights_of_terms(config)

    assert weights(0.0, None, None, 0) == {}
    assert weights(0.25, 1, 0.5, None) == {"answer_gain": 0.25, "perception": 1.0, "consistent": 0.5}


def test_a_question_without_a_gain_keeps_the_differences_of_its_group() -> None:
    assert added_terms([{"answer_gain": None}, {"answer_gain": None}], [False, False], GAIN).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("name", KEYS)
def test_rewards_that_come_without_it_end_the_run(name: str) -> None:
    with pytest.raises(RuntimeError, match=rf"a reward comes without {name}, .*; take it, or set {KEYS[name]}=0"):
        added_terms([{name: 0.5}, {"acc": 1.0}], [False, False], {name: 1.0})


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_what_is_not_finite_reaches_no_reward(value: float) -> None:
    samples = [{"answer_gain": 0.5}, {"answer_gain": value}]
    assert added_terms(samples, [False, True], GAIN).tolist() == [0.5, 0.0]
    with pytest.raises(RuntimeError, match=r"^answer_gain is not finite, .*; look at the weights, or set"):
        added_terms(samples, [False, False], GAIN)


@pytest.mark.parametrize(("weight", "added"), [(0.5, [0.5, 1.5, 0.0]), (0.0, None)])
def test_the_trainer_adds_it_before_the_advantages(
    monkeypatch: pytest.MonkeyPatch, weight: float, added: list[float] | None
) -> None:
    trainer = MedU1Trainer.__new__(MedU1Trainer)
    trainer.timing_raw, trainer._components, trainer.use_reference_policy = {}, {}, False
    trainer._constraints, trainer._penalty = {}, OmegaConf.create({"where": "off"})  # type: ignore[assignment]
    trainer._term_weights = {"answer_gain": weight} if weight else {}
    batch = SimpleNamespace(keys=["q_0_0", "q_1_0", "pad_0_0"], tags=[{}, {}, {"is_padding": True}])
    samples = [{"answer_gain": 1.0}, {"answer_gain": 3.0}, {}]
    steps: list[Any] = []

    def add_to_rewards(batch: Any, terms: torch.Tensor) -> Any:
        steps.append(terms.tolist())
        return batch

    def advantage(self: Any, batch: Any, metrics: Any) -> Any:
        steps.append("advantage")
        return batch

    monkeypatch.setattr(trainer, "_fetch_components", lambda _: samples)
    monkeypatch.setattr(trainer, "_leave_out", lambda *_: None)
    monkeypatch.setattr(trainer, "_length_shaping", lambda *_: None)
    monkeypatch.setattr(trainer, "_watch_mismatch", lambda _: None)
    monkeypatch.setattr("verl_medu1.training.trainer.add_to_rewards", add_to_rewards)
    monkeypatch.setattr(MedU1Trainer.__mro__[1], "_compute_advantage", advantage)
    trainer._compute_advantage(batch, {})  # type: ignore[arg-type]
    assert steps == ([added, "advantage"] if added else ["advantage"])
