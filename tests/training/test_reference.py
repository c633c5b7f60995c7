"""The surprisal of answers under the reference model: own tokens only, and in time for the constraints."""

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from tensordict import TensorDict

from verl_medu1.training import reference
from verl_medu1.training.constraints import Constraints
from verl_medu1.training.reference import fetch_surprisals, surprisals
from verl_medu1.training.trainer import MedU1Trainer

# Whole eighths, whose means lose nothing in rounding.
LOG_PROBS = st.integers(-400, 0).map(lambda n: n / 8)
ANSWERS = st.lists(st.lists(st.tuples(LOG_PROBS, st.booleans()), min_size=1, max_size=12), min_size=1, max_size=6)


def nested(rows):
    return torch.nested.as_nested_tensor([torch.tensor(row) for row in rows], layout=torch.jagged)


@given(ANSWERS)
def test_it_is_the_mean_of_the_answers_own_tokens(answers):
    values = [torch.tensor([value for value, _ in answer]) for answer in answers]
    masks = [torch.tensor([int(own) for _, own in answer]) for answer in answers]
    for answer, found in zip(answers, surprisals(values, masks), strict=True):
        own = [value for value, is_own in answer if is_own]
        assert found == (pytest.approx(-sum(own) / len(own)) if own else None)


def test_what_is_not_the_answers_own_may_be_anything():
    values = [torch.tensor([-1.0, math.nan, -math.inf, -2.0])]
    assert surprisals(values, [torch.tensor([1, 0, 0, 1])]) == [1.5]


def test_half_precision_is_summed_in_full():
    values = torch.full((4096,), -0.1, dtype=torch.bfloat16)
    assert surprisals([values], [torch.ones(4096)])[0] == pytest.approx(-float(values[0]))


def queue_of(log_probs, masks):
    """verl's queue, with the fields that it has after the log-probs of the reference model."""
    content = {"ref_log_prob": nested(log_probs), "response_mask": nested(masks)}

    def get(keys, partition_id, select_fields):
        return TensorDict({name: content[name] for name in select_fields}, batch_size=len(keys))

    return SimpleNamespace(kv_batch_get=get)


@pytest.mark.parametrize("lengths", [(3, 1), (2, 2)])
def test_a_batch_is_read_without_padding(monkeypatch, lengths):
    rows = [[-float(n + 1)] * length for n, length in enumerate(lengths)]
    monkeypatch.setattr(reference, "tq", queue_of(rows, [[1] * length for length in lengths]))
    assert fetch_surprisals(SimpleNamespace(keys=["a", "b"], partition_id="train")) == [1.0, 2.0]


@pytest.mark.parametrize("loaded", [True, False])
def test_the_trainer_has_it_before_it_leaves_answers_out_and_only_with_a_reference(monkeypatch, loaded):
    """Leaving out zeroes masks: an answer read after that would have no tokens."""
    masks = [[1, 1], [1, 0], [0]]
    monkeypatch.setattr(reference, "tq", queue_of([[-1.0, -3.0], [-0.5, -99.0], [-99.0]], masks))
    limit = {"support": {"cost": "reference_surprisal", "limit": 0.25}}
    defaults = {"sources": None, "kp": 1.0, "ki": 0.5, "max": 10.0}
    trainer = MedU1Trainer.__new__(MedU1Trainer)
    trainer._term_weights = {}
    trainer.timing_raw, trainer._components = {}, {}
    trainer.use_reference_policy = loaded
    trainer._constraints = Constraints(
        OmegaConf.create(
            {
                "adv_estimator": "rloo",
                "norm_adv_by_std_in_grpo": True,
                "constraints": limit if loaded else None,
                "constraint_defaults": defaults,
            }
        )
    )
    samples = [{"uid": "q", "data_source": "s"} for _ in range(3)]
    batch = SimpleNamespace(keys=["q_0_0", "q_1_0", "pad_0_0"], partition_id="train")
    batch.tags = [{}, {}, {"is_padding": True}]
    seen, changed = {}, {}
    monkeypatch.setattr(trainer, "_fetch_components", lambda _: samples)
    monkeypatch.setattr(trainer, "_leave_out", lambda _, components, __: seen.update(components[0]))
    monkeypatch.setattr(trainer, "_length_shaping", lambda *_: None)
    monkeypatch.setattr(trainer, "_watch_mismatch", lambda _: None)
    monkeypatch.setattr(MedU1Trainer.__mro__[1], "_compute_advantage", lambda self, batch, metrics: batch)

    def change_advantages(batch, changes):
        (change,) = changes
        changed["advantages"] = change(torch.zeros(3, 2), torch.tensor([[1, 1], [1, 0], [0, 0]]))
        return batch

    monkeypatch.setattr("verl_medu1.training.trainer.change_advantages", change_advantages)
    metrics: dict[str, float] = {}
    trainer._compute_advantage(batch, metrics)
    assert ("reference_surprisal" in seen) == loaded
    if not loaded:
        assert not metrics and not any("reference_surprisal" in sample for sample in samples)
        return
    assert [sample["reference_surprisal"] for sample in samples] == [2.0, 0.5, None]
    # Mean cost (2 + 0.5) / 2, and the multiplier (1 + 0.5) times the excess.
    assert metrics == {
        "constraint/support/cost_mean": 1.25,
        "constraint/support/lambda": 1.5,
        "constraint/support/at_cap": 0.0,
    }
    more, less, padding = changed["advantages"][:, 0].tolist()
    assert more < 0 < less and padding == 0
