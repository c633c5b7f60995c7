"""What is logged of components and shaping."""

import math

import numpy as np
import pytest
import torch
from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage

from verl_medu1.length.advantage import Shaped, shape_advantages
from verl_medu1.training.metrics import component_metrics, group_metrics, level_metrics, shaping_metrics


def test_components_are_averaged_per_source_and_strings_are_left_out():
    samples = [
        {"data_source": "MedQA", "acc": 1.0, "length": 10.0, "pred": "A"},
        {"data_source": "MedQA", "acc": 0.0, "length": 30.0, "pred": "B"},
        {"data_source": "MedIQ", "acc": 1.0, "length": 7.0, "pred": "C"},
    ]
    metrics = component_metrics(samples)
    assert metrics["reward/MedQA/acc/mean"] == 0.5
    assert metrics["reward/MedQA/length/p50"] == 20.0
    assert metrics["reward/MedIQ/length/mean"] == 7.0
    assert not any("pred" in name for name in metrics)


def test_rows_without_a_budget_are_in_no_mean_of_budgets():
    with_one = {"budget_mode": "max", "budget_tokens": 100.0, "over_budget": 1.0, "budget_distance": 80.0}
    without = {"budget_mode": "none", "budget_tokens": 0.0, "over_budget": 0.0, "budget_distance": 0.0}
    rows = [("MedQA", with_one), ("MedQA", without), ("MedIQ", without)]
    metrics = component_metrics([{"data_source": source, "acc": 1.0, **row} for source, row in rows])
    means = {
        f"reward/MedQA/{name}/mean": with_one[name] for name in ("budget_tokens", "over_budget", "budget_distance")
    }
    assert metrics == {"reward/MedQA/acc/mean": 1.0, "reward/MedIQ/acc/mean": 1.0} | means


def test_questions_without_evidence_are_in_no_mean_of_it():
    rows = [(2.0, 0.5), (2.0, 1.0), (0.0, 0.0)]
    samples = [{"data_source": "s", "evidence": number, "evidence_recall": recall} for number, recall in rows]
    assert component_metrics(samples) == {"reward/s/evidence/mean": 2.0, "reward/s/evidence_recall/mean": 0.75}


def test_accuracy_by_level_leaves_out_rows_without_one_and_answers_without_a_verdict():
    rows = [("L2", 1.0), ("L2", 0.0), ("L2", 0.0), ("L1", np.bool_(True)), ("", 1.0), ("L1", None), ("L3", "1")]
    samples = [{"data_source": "s", "level": level, "acc": acc} for level, acc in rows]
    samples.append({"data_source": "s", "acc": 0.0})
    assert level_metrics(samples) == {"level/L2/acc/mean": pytest.approx(1 / 3), "level/L1/acc/mean": 1.0}
    # A name of a level is a text, and has no mean of its own.
    assert not any("level" in name for name in component_metrics([{"data_source": "s", "level": "L1", "acc": 1.0}]))


def test_groups_and_moves_are_counted_per_source():
    change = torch.tensor([0.5, -0.5, 0.0, 0.0, 0.0, 0.0])
    shaped = Shaped(torch.zeros(6, 1), change, torch.tensor([0.25, 0.25, math.nan, math.nan, math.nan, math.nan]))
    group = torch.tensor([0, 0, 1, 1, 2, 2])
    correct = torch.tensor([True, True, False, False, True, False])
    sources = ["MedQA"] * 4 + ["MedIQ"] * 2
    assert group_metrics(group, correct, sources) == {
        "advantage/MedQA/all_wrong_groups": 0.5,
        "advantage/MedQA/all_right_groups": 0.5,
        "advantage/MedIQ/all_wrong_groups": 0.0,
        "advantage/MedIQ/all_right_groups": 0.0,
    }
    assert shaping_metrics(shaped, correct, group, sources) == {
        "advantage/MedQA/moved_share_of_right": 1.0,
        "advantage/MedQA/moved_mean_abs": 0.5,
        "advantage/MedQA/floor_factor": 0.25,
        "advantage/MedIQ/moved_share_of_right": 0.0,
        "advantage/MedIQ/moved_mean_abs": 0.0,
    }


# By how many of 16 answers are right: what is left of a length term of weight 0.5, if one right answer is too long and
# the others are not. That one must stay above the floor at 0, where the group's mean is; without wrong answers there is
# no floor.
@pytest.mark.parametrize("by_deviation", [True, False])
@pytest.mark.parametrize("right", [2, 4, 8, 12, 14, 15, 16])
def test_the_share_of_the_length_term_that_the_floor_leaves_is_logged(right, by_deviation):
    correct = torch.arange(16) < right
    mask, reward = torch.ones(16, 1), correct.float().unsqueeze(1)
    index = np.zeros(16, dtype=int)
    base, _ = compute_grpo_outcome_advantage(reward, mask, index, norm_adv_by_std_in_grpo=by_deviation)
    score = torch.where(torch.arange(16) == 0, -1.0, 0.0)
    group = torch.zeros(16, dtype=torch.long)
    shaped = shape_advantages(base, mask, group, correct, score, 0.5)
    metrics = shaping_metrics(shaped, correct, group, ["MedQA"] * 16)
    share = right / 16
    above_zero = (1 - share) / (math.sqrt(share * (1 - share) * 16 / 15) if by_deviation and right < 16 else 1)
    expected = 1.0 if right == 16 else min(1.0, above_zero / (0.5 * (1 - 1 / right)))
    assert metrics["advantage/MedQA/floor_factor"] == pytest.approx(expected, abs=1e-4)


def test_what_is_no_number_is_counted_and_nothing_needs_our_components():
    rows = [{"acc": 1.0, "note": None}, {"acc": np.bool_(False), "note": [1, 2]}, {"acc": True, "over_budget": 1.0}]
    assert component_metrics([{"data_source": "own", **row} for row in rows]) == {
        "reward/own/acc/mean": pytest.approx(2 / 3),
        "reward/own/note/no_number": 2,
        "reward/own/over_budget/mean": 1.0,
    }
