"""Constraints: multipliers that follow the cost, advantages changed only where costs differ, exact resumption."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from verl_medu1.config.constraints import Constraint
from verl_medu1.length.advantage import shape_advantages
from verl_medu1.run_folder.checkpoints import MULTIPLIERS
from verl_medu1.training.constraints import Constraints, Multiplier, combine, cost_advantages, costs_of
from verl_medu1.training.trainer import MedU1Trainer

ESTIMATORS = ["grpo", "grpo_vectorized", "rloo", "rloo_vectorized", "medu1_gdpo"]
TOKENS = 3
# Whole thousandths, so that no sum is lost in rounding.
COSTS = st.integers(0, 1000).map(lambda n: n / 1000)


def algorithm(constraints, estimator="grpo", by_std=True, **defaults):
    values = {"sources": None, "kp": 1.0, "ki": 0.5, "max": 10.0, **defaults}
    return OmegaConf.create(
        {
            "adv_estimator": estimator,
            "norm_adv_by_std_in_grpo": by_std,
            "constraints": constraints,
            "constraint_defaults": values,
        }
    )


def batch(groups, source="s"):
    """Keys and components of groups of costs."""
    keys = [f"q{g}_{n}_0" for g, group in enumerate(groups) for n in range(len(group))]
    flat = [(f"q{g}", cost) for g, group in enumerate(groups) for cost in group]
    return keys, [{"uid": uid, "data_source": source, "cost": cost} for uid, cost in flat]


# ------------------------------------------------------------------ the multiplier


@pytest.mark.parametrize(
    ("kp", "ki", "costs", "values"),
    [
        (0.0, 0.5, [0.5, 0.5, 0.5], [0.2, 0.4, 0.6]),
        (0.0, 0.5, [0.1, 0.1], [0.0, 0.0]),
        # Below the limit nothing is saved up that would delay the answer to a later excess.
        (0.0, 0.5, [0.0, 0.0, 0.0, 0.5], [0.0, 0.0, 0.0, 0.2]),
        (1.0, 0.5, [0.5, 0.1, 0.0], [0.6, 0.2, 0.05]),
        # At the cap the integral does not grow on: one step below the limit is seen at once.
        (0.0, 10.0, [1.0, 1.0, 1.0, 0.05], [2.0, 2.0, 2.0, 1.5]),
    ],
)
def test_values_by_hand(kp, ki, costs, values):
    multiplier = Multiplier(limit=0.1, kp=kp, ki=ki, max=2.0)
    assert [multiplier.update(cost) for cost in costs] == pytest.approx(values)


@given(
    st.lists(COSTS, min_size=1, max_size=30), COSTS, st.sampled_from([0.0, 0.5, 2.0]), st.sampled_from([0.1, 1.0, 5.0])
)
def test_the_integral_rises_if_and_only_if_the_cost_is_above_the_limit(costs, limit, kp, ki):
    multiplier = Multiplier(limit=limit, kp=kp, ki=ki, max=3.0)
    for cost in costs:
        before = multiplier.integral
        value = multiplier.update(cost)
        assert (multiplier.integral > before) == (cost > limit and before < multiplier.max)
        assert (multiplier.integral < before) == (cost < limit and before > 0)
        assert 0 <= value <= multiplier.max and 0 <= multiplier.integral <= multiplier.max
        if cost > limit:
            assert value > 0
        if cost == limit:
            assert value == multiplier.integral


@given(st.lists(COSTS, max_size=20), COSTS, COSTS)
def test_with_integral_control_alone_the_multiplier_itself_rises_iff_the_cost_is_above_the_limit(before, cost, limit):
    multiplier = Multiplier(limit=limit, kp=0.0, ki=1.0, max=math.inf)
    for one in before:
        multiplier.update(one)
    old = multiplier.value
    assert (multiplier.update(cost) > old) == (cost > limit)


@pytest.mark.parametrize("cost", [math.nan, math.inf])
def test_a_cost_that_is_no_number_is_refused(cost):
    multiplier = Multiplier(0.1, 1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="not finite"):
        multiplier.update(cost)
    assert (multiplier.integral, multiplier.value) == (0, 0)


# ------------------------------------------------------------------ advantages


def advantages_of(costs, samples, config, mask=None):
    mask = torch.ones(len(samples), TOKENS) if mask is None else mask
    return cost_advantages(np.array(costs, dtype=float), [s["uid"] for s in samples], mask, config)


@pytest.mark.parametrize(
    ("estimator", "by_std", "expected"),
    [
        ("grpo", True, [1.1547, -0.5773, -0.5773]),
        ("grpo_vectorized", True, [1.1547, -0.5773, -0.5773]),
        ("medu1_gdpo", True, [1.1547, -0.5773, -0.5773]),
        ("grpo", False, [2 / 3, -1 / 3, -1 / 3]),
        ("rloo", True, [1.0, -0.5, -0.5]),
        ("rloo_vectorized", True, [1.0, -0.5, -0.5]),
    ],
)
def test_a_cost_is_normalised_as_the_estimator_normalises_rewards(estimator, by_std, expected):
    _, samples = batch([[1.0, 0.0, 0.0]])
    found = advantages_of([1.0, 0.0, 0.0], samples, algorithm({}, estimator, by_std))
    assert found[:, 0].tolist() == pytest.approx(expected, abs=1e-3)


@given(st.sampled_from(ESTIMATORS), st.floats(-1e6, 1e6), st.integers(1, 5), st.booleans())
def test_a_group_of_equal_costs_adds_exactly_nothing(estimator, cost, size, by_std):
    groups = [[cost] * size, [1.0, 0.0]]
    _, samples = batch(groups)
    found = advantages_of([c for g in groups for c in g], samples, algorithm({}, estimator, by_std))
    assert (found[:size] == 0).all() and found[size:].any()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_response_without_a_cost_is_in_no_mean(estimator):
    _, samples = batch([[1.0, None, 0.0, 0.0], [None, 1.0]])
    found = advantages_of([1.0, math.nan, 0.0, 0.0, math.nan, 1.0], samples, algorithm({}, estimator))
    _, samples = batch([[1.0, 0.0, 0.0]])
    without = advantages_of([1.0, 0.0, 0.0], samples, algorithm({}, estimator))
    assert torch.equal(found[[0, 2, 3]], without)
    assert not found[[1, 4, 5]].any()  # the last one has nothing to be compared with


@given(st.lists(st.tuples(st.sampled_from("abc"), st.one_of(COSTS, st.just(math.nan))), min_size=1, max_size=20))
def test_a_question_among_others_has_the_advantages_that_it_has_alone(rows):
    """In any order of the rows, with some that have no cost."""
    samples, costs = [{"uid": uid} for uid, _ in rows], [cost for _, cost in rows]
    found = advantages_of(costs, samples, algorithm({}))
    for uid in "abc":
        own = [row for row, (other, _) in enumerate(rows) if other == uid]
        if own:
            alone = advantages_of([costs[row] for row in own], [samples[row] for row in own], algorithm({}))
            assert torch.equal(found[own], alone)


def test_only_tokens_of_the_response_are_changed():
    _, samples = batch([[1.0, 0.0]])
    mask = torch.tensor([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    found = advantages_of([1.0, 0.0], samples, algorithm({}), mask)
    assert torch.equal(found != 0, mask.bool())


@given(st.lists(st.tuples(COSTS, COSTS, COSTS), min_size=1, max_size=6), COSTS, COSTS)
def test_the_combination_is_a_weighted_mean(rows, first, second):
    base, one, two = (torch.tensor(column).unsqueeze(1) for column in zip(*rows, strict=True))
    found = combine(base, [one, two], [first, second])
    assert torch.allclose(found, (base - first * one - second * two) / (1 + first + second), atol=1e-6)
    assert found.abs().max() <= max(tensor.abs().max() for tensor in (base, one, two)) + 1e-6


def test_without_an_excess_the_advantages_are_the_very_same():
    base = torch.tensor([[1.0, -0.0]])
    assert combine(base, [torch.ones(1, 2)], [0.0]) is base


# ------------------------------------------------------------------ a batch

ONE = Constraint("cost", 0.1, None, 1.0, 0.5, 10.0)


def test_costs_that_are_no_numbers_are_counted_and_left_out():
    _, samples = batch([[1.0, math.nan, None, "1", math.inf, True, np.bool_(False), np.float32(0.5)]])
    costs, without = costs_of("c", ONE, samples, [False] * 8)
    assert without == 4 and costs[[0, 5, 6, 7]].tolist() == [1.0, 1.0, 0.0, 0.5] and np.isnan(costs[1:5]).all()


def test_padding_and_other_sources_do_not_count():
    _, samples = batch([[1.0, 1.0, 0.0]])
    samples[1]["data_source"] = "other"
    costs, without = costs_of("c", ONE._replace(sources=("s",)), samples, [True, False, False])
    assert without == 0 and np.isnan(costs[:2]).all() and costs[2] == 0
    del samples[0]["cost"], samples[1]["cost"]  # nor do they need the component
    costs_of("c", ONE._replace(sources=("s",)), samples, [True, False, False])
    with pytest.raises(
        RuntimeError, match=r"constraints\.c\.cost is 'cost', which .* 's' come without; they have data_"
    ):
        costs_of("c", ONE, [{"data_source": "s"}], [False])


def run(constraints, groups, base=None, padding=()):
    keys, samples = batch(groups)
    rows = len(keys)
    base = torch.zeros(rows, TOKENS) if base is None else base
    is_padding = [row in padding for row in range(rows)]
    return constraints.constrain(base, torch.ones(rows, TOKENS), keys, samples, is_padding)


def test_a_step_by_hand():
    constraints = Constraints(algorithm({"c": {"cost": "cost", "limit": 0.1}}))
    advantages, metrics = run(constraints, [[1.0, 0.0], [0.0, 0.0]])
    # Mean cost 0.25: lambda = 0.15 + 0.5 * 0.15 = 0.225; the costs' advantages are +-0.7071.
    assert metrics == pytest.approx(
        {"constraint/c/cost_mean": 0.25, "constraint/c/lambda": 0.225, "constraint/c/at_cap": 0.0}
    )
    assert advantages[:, 0].tolist() == pytest.approx([-0.12988, 0.12988, 0.0, 0.0], abs=1e-4)


def test_each_constraint_has_a_multiplier_and_one_that_is_met_changes_nothing():
    both = {"c": {"cost": "cost", "limit": 0.1}, "d": {"cost": "cost", "limit": 0.9}}
    two, one = Constraints(algorithm(both)), Constraints(algorithm({"c": both["c"]}))
    groups = [[1.0, 0.0], [0.0, 0.0]]
    found, metrics = run(two, groups)
    assert metrics["constraint/d/lambda"] == 0 and torch.equal(found, run(one, groups)[0])


def test_a_step_without_a_cost_leaves_the_multiplier():
    constraints = Constraints(algorithm({"c": {"cost": "cost", "limit": 0.1}}))
    run(constraints, [[1.0, 0.0]])
    before = dict(vars(constraints.multipliers["c"]))
    base = torch.randn(2, TOKENS)
    advantages, metrics = run(constraints, [[None, math.nan]], base)
    assert vars(constraints.multipliers["c"]) == before
    assert metrics["constraint/c/no_number"] == 2 and "constraint/c/cost_mean" not in metrics
    # Still a mean of base and cost, whose advantages are zero.
    assert torch.allclose(advantages, base / (1 + before["value"]))
    run(constraints, [[1.0, 1.0]], padding=(0, 1))
    assert vars(constraints.multipliers["c"]) == before


def test_the_cap_is_told():
    constraints = Constraints(algorithm({"c": {"cost": "cost", "limit": 0.0}}, max=0.5))
    assert run(constraints, [[0.1, 0.0]])[1]["constraint/c/at_cap"] == 0
    assert run(constraints, [[1.0, 1.0]])[1]["constraint/c/at_cap"] == 1


def test_an_answer_of_several_sequences_ends_the_run():
    constraints = Constraints(algorithm({"c": {"cost": "cost", "limit": 0.1}}))
    _, samples = batch([[1.0, 0.0]])
    with pytest.raises(RuntimeError, match="several sequences for one answer"):
        constraints.constrain(torch.zeros(2, 1), torch.ones(2, 1), ["q_0_0", "q_0_1"], samples, [False] * 2)


def test_a_bandit_under_a_constraint_settles_at_its_limit():
    """Two answers, both right: the constrained policy gives the costly one at most as often as allowed."""
    torch.manual_seed(0)
    limit = 0.1
    constraints = Constraints(algorithm({"c": {"cost": "cost", "limit": limit}}))
    logit = torch.tensor(1.0)  # the costly answer is given in 73 % of cases at first
    shares = []
    for _ in range(400):
        costs = (torch.rand(16, 8) < torch.sigmoid(logit)).float()
        advantages, _ = run(constraints, costs.tolist())
        # REINFORCE on the logit: d log p / d logit.
        slope = torch.where(costs.flatten() > 0, 1 - torch.sigmoid(logit), -torch.sigmoid(logit))
        logit += 0.5 * (advantages[:, 0] * slope).mean()
        shares.append(float(costs.mean()))
    assert shares[0] > 0.6 and np.mean(shares[-100:]) <= limit


# ------------------------------------------------------------------ with the length term


def test_the_length_term_comes_after_and_keeps_the_order_of_the_constraints():
    """Two right answers, one of which costs: the other stays above it, however much longer it is."""
    constraints = Constraints(algorithm({"c": {"cost": "cost", "limit": 0.0}}))
    base = torch.tensor([0.7, 0.7, -0.7, -0.7]).unsqueeze(1).expand(4, TOKENS).clone()
    constrained, _ = run(constraints, [[1.0, 0.0, 0.0, 0.0]], base)
    shaped = shape_advantages(
        constrained,
        torch.ones(4, TOKENS),
        torch.zeros(4, dtype=torch.long),
        torch.tensor([True, True, False, False]),
        torch.tensor([1.0, -1.0, 0.0, 0.0]),
        5.0,
    ).advantages[:, 0]
    # The length term's own promise holds on what the constraints leave: no right answer falls below a wrong one.
    assert shaped[1] >= constrained[2:, 0].max() and shaped[1] > 0
    assert torch.equal(shaped[2:], constrained[2:, 0])


def test_the_trainer_applies_constraints_before_the_length_term(monkeypatch):
    calls = []
    trainer = MedU1Trainer.__new__(MedU1Trainer)
    trainer.timing_raw = {}
    trainer._components = {}
    trainer.use_reference_policy = False
    trainer._constraints = Constraints(algorithm({"c": {"cost": "cost", "limit": 0.0}}))
    trainer._penalty, trainer._term_weights = OmegaConf.create({"where": "advantage"}), {}
    shaping = type("Shaping", (), {})()
    shaping.weight, shaping.values = torch.ones(2), torch.zeros(2)
    shaping.group, shaping.correct = torch.zeros(2), torch.ones(2)
    keys, samples = batch([[1.0, 0.0]])
    given_batch = type("Batch", (), {"keys": keys, "tags": [{}, {}]})()
    monkeypatch.setattr(trainer, "_fetch_components", lambda batch: samples)
    monkeypatch.setattr(trainer, "_leave_out", lambda *_: None)
    monkeypatch.setattr(trainer, "_length_shaping", lambda *_: shaping)
    monkeypatch.setattr(trainer, "_watch_mismatch", lambda _: None)

    def constrain(base, *_):
        calls.append("constraints")
        return base, {}

    monkeypatch.setattr(trainer._constraints, "constrain", constrain)
    monkeypatch.setattr(trainer, "_shape_advantages", lambda *given: calls.append("length") or given[-2])

    def change_advantages(batch, changes):
        calls.append("queue")
        for change in changes:
            change(torch.zeros(2, TOKENS), torch.ones(2, TOKENS))
        return batch

    monkeypatch.setattr("verl_medu1.training.trainer.change_advantages", change_advantages)
    above = MedU1Trainer.__mro__[1]
    monkeypatch.setattr(above, "_compute_advantage", lambda self, batch, metrics: calls.append("verl") or batch)
    trainer._compute_advantage(given_batch, {})
    assert calls == ["verl", "queue", "constraints", "length"]


# ------------------------------------------------------------------ checkpoints


@given(st.lists(COSTS, min_size=2, max_size=20), st.integers(1, 19))
def test_a_resumed_run_is_an_uninterrupted_one(tmp_path_factory, costs, at):
    config = algorithm({"c": {"cost": "cost", "limit": 0.3}, "d": {"cost": "cost", "limit": 0.1, "ki": 0.7}})
    whole, cut = Constraints(config), Constraints(config)
    folder = tmp_path_factory.mktemp("step")
    for step, cost in enumerate(costs):
        if step == at:
            cut.save(folder)
            cut = Constraints(config)
            cut.load(folder)
        groups = [[cost, 0.0], [0.5, cost]]
        one, metrics = run(whole, groups)
        other, others = run(cut, groups)
        assert torch.equal(one, other) and metrics == others


def test_without_constraints_nothing_is_written(tmp_path):
    Constraints(algorithm(None)).save(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_constraint_that_the_checkpoint_lacks_begins_at_zero_and_says_so(tmp_path, caplog):
    old = Constraints(algorithm({"c": {"cost": "cost", "limit": 0.1}}))
    run(old, [[1.0, 0.0]])
    old.save(tmp_path)
    new = Constraints(algorithm({name: {"cost": "cost", "limit": 0.1} for name in "cd"}))
    new.load(tmp_path)
    assert new.multipliers["c"] == old.multipliers["c"] and new.multipliers["d"].value == 0
    assert "no multiplier of the constraint d, which begins at 0" in caplog.text


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", '{"c": 1}', '{"c": {"integral": 1}}', '{"c": {"integral": -1, "lambda": 0}}',
     '{"c": {"integral": NaN, "lambda": 0}}', '{"c": {"integral": "x", "lambda": 0}}', '{"c": null}'],
)  # fmt: skip
def test_a_damaged_file_is_told(tmp_path, content):
    constraints = Constraints(algorithm({"c": {"cost": "cost", "limit": 0.1}}))
    (tmp_path / MULTIPLIERS).write_text(content)
    with pytest.raises(ValueError, match=r"multipliers\.json can't be read as the multipliers .* another checkpoint"):
        constraints.load(tmp_path)


@pytest.mark.parametrize("mode", ["auto", "resume_path"])
def test_the_trainer_saves_and_restores_the_multipliers(monkeypatch, tmp_path, mode):
    def trainer_of(step):
        trainer = MedU1Trainer.__new__(MedU1Trainer)
        trainer._constraints = Constraints(algorithm({"c": {"cost": "cost", "limit": 0.1}}))
        trainer.global_steps = step
        settings = {
            "default_local_dir": str(tmp_path / ("elsewhere" if mode == "resume_path" and not step else "run")),
            "resume_mode": mode,
            "resume_from_path": str(tmp_path / "run" / "global_step_3"),
        }
        trainer.config = OmegaConf.create({"trainer": settings, "actor_rollout_ref": {"actor": {}}})
        trainer._progress = type("Progress", (), {"report": lambda *_: None})()
        trainer.actor_rollout_wg = trainer.tokenizer = trainer.processor = None
        return trainer

    above = MedU1Trainer.__mro__[1]
    monkeypatch.setattr("verl_medu1.training.trainer.write_record", lambda *_: None)
    monkeypatch.setattr(above, "_save_checkpoint", lambda self: None)
    monkeypatch.setattr(above, "_load_checkpoint", lambda self: setattr(self, "global_steps", 3))
    saved = trainer_of(3)
    run(saved._constraints, [[1.0, 0.0]])
    saved._save_checkpoint()
    assert json.loads((tmp_path / "run" / "global_step_3" / MULTIPLIERS).read_text())["c"]["lambda"] > 0
    resumed = trainer_of(0)
    resumed._load_checkpoint()
    assert resumed._constraints.multipliers == saved._constraints.multipliers
