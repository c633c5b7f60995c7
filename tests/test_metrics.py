"""What is logged of components and shaping."""

import pytest
import torch

from verl_medu1.metrics import component_metrics, shaping_metrics


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


def test_shaping_metrics_count_groups_and_moves():
    base = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]])
    shaped = torch.tensor([[1.5], [0.5], [-1.0], [-1.0]])
    metrics = shaping_metrics(base, shaped, torch.tensor([0, 0, 1, 1]), torch.tensor([True, True, False, False]))
    assert metrics == pytest.approx(
        {
            "advantage/moved_share_of_right": 1.0,
            "advantage/moved_mean_abs": 0.5,
            "advantage/all_wrong_groups": 0.5,
            "advantage/all_right_groups": 0.5,
        }
    )
