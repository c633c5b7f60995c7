"""The hook's contract, for all inputs (Hypothesis) and for hand-computed groups."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from verl_medu1.length import advantage
from verl_medu1.length.advantage import shape_advantages

TOKENS = 3


@st.composite
def batches(draw: st.DrawFn) -> dict[str, torch.Tensor]:
    """Up to four groups under a base estimator that gives each group's right answers more than its wrong ones."""
    rows = draw(st.integers(1, 12))
    group = torch.tensor(draw(st.lists(st.integers(0, 3), min_size=rows, max_size=rows)))
    correct = torch.tensor(draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    lengths = draw(st.lists(st.integers(0, TOKENS), min_size=rows, max_size=rows))
    mask = torch.tensor([[float(t < length) for t in range(TOKENS)] for length in lengths])
    score = torch.tensor(draw(st.lists(st.floats(-1, 1, width=32), min_size=rows, max_size=rows)))
    high = torch.tensor(draw(st.lists(st.floats(0, 3, width=32), min_size=4, max_size=4)))
    low = torch.tensor(draw(st.lists(st.floats(-3, 0, width=32), min_size=4, max_size=4)))
    base = torch.where(correct, high[group], low[group]).unsqueeze(1) * mask
    return {"advantages": base, "response_mask": mask, "group": group, "correct": correct, "length_score": score}


def shape(**inputs) -> torch.Tensor:
    return shape_advantages(**inputs).advantages


weights = st.floats(0, 4, width=32)


@given(batches(), weights)
def test_in_place_gives_the_same_and_says_what_it_added(batch, weight):
    kept = batch["advantages"].clone()
    copied = shape_advantages(**batch, weight=weight)
    assert torch.equal(batch["advantages"], kept)
    changed = shape_advantages(**batch, weight=weight, in_place=True)
    assert changed.advantages is batch["advantages"]
    assert torch.equal(changed.advantages, copied.advantages)
    assert torch.equal(kept + copied.change.unsqueeze(1) * batch["response_mask"], copied.advantages)


def members(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return batch["correct"] & (batch["response_mask"].sum(1) > 0)


@given(batches(), weights)
def test_a_group_without_a_right_answer_keeps_its_advantages_bit_for_bit(batch, weight):
    shaped = shape(**batch, weight=weight)
    for label in batch["group"].unique():
        rows = batch["group"] == label
        if not members(batch)[rows].any():
            assert torch.equal(shaped[rows], batch["advantages"][rows])


@given(batches(), weights)
def test_wrong_answers_and_padding_are_never_moved(batch, weight):
    shaped = shape(**batch, weight=weight)
    still = ~batch["correct"].unsqueeze(1) | (batch["response_mask"] == 0)
    assert torch.equal(shaped[still], batch["advantages"][still])


@given(batches(), weights)
def test_no_right_answer_falls_below_a_wrong_one_or_below_zero(batch, weight):
    shaped, mask = shape(**batch, weight=weight), batch["response_mask"] > 0
    for label in batch["group"].unique():
        rows = batch["group"] == label
        right = shaped[rows & members(batch)][mask[rows & members(batch)]]
        before = batch["advantages"][rows & members(batch)][mask[rows & members(batch)]]
        wrong = shaped[rows & ~batch["correct"]][mask[rows & ~batch["correct"]]]
        if len(right) and len(wrong):
            assert right.min() >= wrong.max()
        assert (right[before > 0] >= 0).all()


@given(batches(), weights)
def test_what_is_added_sums_to_zero_over_the_right_answers_of_a_group(batch, weight):
    added = (shape(**batch, weight=weight) - batch["advantages"])[:, 0]
    for label in batch["group"].unique():
        rows = (batch["group"] == label) & members(batch)
        assert abs(float(added[rows].sum())) < 1e-5


@given(batches(), weights)
def test_the_better_length_score_never_gets_less(batch, weight):
    added = (shape(**batch, weight=weight) - batch["advantages"])[:, 0]
    for label in batch["group"].unique():
        rows = ((batch["group"] == label) & members(batch)).nonzero().flatten()
        order = rows[batch["length_score"][rows].argsort()]
        assert (added[order].diff() >= -1e-6).all()


@given(batches())
def test_weight_zero_is_the_base_estimator_bit_for_bit(batch):
    assert torch.equal(shape(**batch, weight=0.0), batch["advantages"])


@given(batches(), weights, st.randoms(use_true_random=False))
def test_order_of_rows_padding_and_labels_do_not_matter(batch, weight, random):
    shaped = shape(**batch, weight=weight)
    order = list(range(len(batch["group"])))
    random.shuffle(order)
    other = {name: tensor[order] for name, tensor in batch.items()} | {"group": batch["group"][order] * -7 + 100}
    padding = torch.zeros(len(order), 2)
    other["advantages"] = torch.cat([other["advantages"], padding], 1)
    other["response_mask"] = torch.cat([other["response_mask"], padding], 1)
    again = shape(**other, weight=weight)
    assert torch.allclose(again[:, :TOKENS], shaped[order], atol=1e-6)
    assert (again[:, TOKENS:] == 0).all()


@given(batches(), weights)
def test_all_results_are_finite(batch, weight):
    assert torch.isfinite(shape(**batch, weight=weight)).all()


@pytest.mark.parametrize(
    ("base", "correct", "score", "weight", "expected"),
    [
        # All right: moved by weight * (score - mean).
        ([0.0, 0.0], [1, 1], [1.0, 0.0], 0.5, [0.25, -0.25]),
        # One right answer: nothing to compare it with.
        ([1.0, -1.0], [1, 0], [1.0, 1.0], 0.5, [1.0, -1.0]),
        # Two right, one wrong: the worse right answer may fall to zero and no further.
        ([0.5, 0.5, -1.0], [1, 1, 0], [1.0, -1.0, 1.0], 2.0, [1.0, 0.0, -1.0]),
    ],
)
def test_hand_computed_groups(base, correct, score, weight, expected):
    rows = len(base)
    shaped = shape_advantages(
        torch.tensor(base).unsqueeze(1),
        torch.ones(rows, 1),
        torch.zeros(rows, dtype=torch.long),
        torch.tensor(correct, dtype=torch.bool),
        torch.tensor(score),
        weight,
    ).advantages
    assert shaped.flatten().tolist() == pytest.approx(expected, abs=1e-4)


def floor_in_numpy(level, correct, score, weight):
    """c_g of one group, from the means over its answers' tokens; NaN if the term asks for nothing."""
    asked = weight * (score[correct] - score[correct].mean()) if correct.any() else np.zeros(0)
    if not (asked < 0).any():
        return np.nan
    factors = []
    for start, wish in zip(level[correct], asked, strict=True):
        floor = max([*level[~correct], *([0.0] if start > 0 else [])], default=-np.inf)
        if wish < 0:
            factors.append(max(0.0, start - floor) / -wish)
    return min(1.0, *factors)


@pytest.mark.parametrize("right", range(9))
def test_advantages_that_differ_within_an_answer_are_compared_by_their_mean(right):
    """As GAE's: each answer has tokens above and below zero, and a right one more of the former."""
    draw = np.random.default_rng(right)
    correct = np.arange(8) < right
    mask = np.arange(30) < draw.integers(10, 31, 8)[:, None]
    base = np.where(mask, draw.normal(size=mask.shape) + correct[:, None], 0.0)
    score = draw.uniform(-1, 1, 8)
    level = base.sum(1) / mask.sum(1)
    inputs = {
        "advantages": torch.from_numpy(base).float(),
        "response_mask": torch.from_numpy(mask).float(),
        "group": torch.zeros(8, dtype=torch.long),
        "correct": torch.from_numpy(correct),
        "length_score": torch.from_numpy(score).float(),
    }
    found = shape_advantages(**inputs, weight=0.5)
    expected = floor_in_numpy(level, correct, score, 0.5)
    assert found.factor.tolist() == pytest.approx([expected] * 8, abs=1e-4, nan_ok=True)
    after = (found.advantages.numpy() * mask).sum(1) / mask.sum(1)
    assert (after != pytest.approx(level, abs=1e-4)) == (right > 1)
    if 0 < right < 8:
        assert after[correct].min() >= min(level[correct].min(), level[~correct].max()) - 1e-5


@pytest.mark.parametrize(
    ("base", "correct", "score", "weight", "expected"),
    [
        ([1.0, 1.0, -1.0], [1, 1, 0], [1.0, -1.0, 1.0], 0.5, 1.0),
        ([0.5, 0.5, -1.0], [1, 1, 0], [1.0, -1.0, 1.0], 2.0, 0.25),
        ([0.0, 0.0], [1, 1], [1.0, 0.0], 2.0, 1.0),
        # Nothing is asked for: one right answer, equal values, none right, no weight.
        ([1.0, -1.0], [1, 0], [1.0, 1.0], 0.5, math.nan),
        ([1.0, 1.0, -1.0], [1, 1, 0], [1.0, 1.0, 0.0], 0.5, math.nan),
        ([0.0, 0.0], [0, 0], [1.0, 0.0], 0.5, math.nan),
        ([1.0, 1.0], [1, 1], [1.0, 0.0], 0.0, math.nan),
    ],
)
def test_the_factor_is_what_the_floor_leaves(base, correct, score, weight, expected):
    rows = len(base)
    correct = torch.tensor(correct, dtype=torch.bool)
    advantages, group = torch.tensor(base).unsqueeze(1), torch.zeros(rows, dtype=torch.long)
    found = shape_advantages(advantages, torch.ones(rows, 1), group, correct, torch.tensor(score), weight)
    assert found.factor.tolist() == pytest.approx([expected] * rows, abs=1e-4, nan_ok=True)


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match=r"algorithm\.length_penalty\.weight is -1"):
        shape_advantages(*[torch.ones(1, 1)] * 2, torch.zeros(1), torch.ones(1).bool(), torch.ones(1), -1)


def test_rows_of_several_blocks(monkeypatch):
    draw = torch.Generator().manual_seed(0)
    rows = 40
    correct = torch.rand(rows, generator=draw) < 0.5
    batch = {
        "advantages": torch.where(correct, 1.0, -1.0).unsqueeze(1) + 0.1 * torch.rand(rows, TOKENS, generator=draw),
        "response_mask": (torch.rand(rows, TOKENS, generator=draw) < 0.7).float(),
        "group": torch.arange(rows) // 8,
        "correct": correct,
        "length_score": torch.rand(rows, generator=draw),
    }
    at_once = shape(**batch, weight=0.5)
    assert not torch.equal(at_once, batch["advantages"])
    monkeypatch.setattr(advantage, "BLOCK", 4)
    assert torch.equal(shape(**batch, weight=0.5), at_once)
