"""The alarm when rollout and trainer drift apart, and what verl's correction does with our configuration."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

from verl_medu1.training.mismatch import ALARM, MEASURES, alarm_metrics, over_bounds

PROBS, KL = "training/rollout_probs_diff_mean", "rollout_corr/k3_kl"
OURS = OmegaConf.load(Path(__file__).resolve().parents[2] / "verl_medu1" / "config" / "medu1.yaml")
BOTH, NONE = {"max_probs_diff": 0.01, "max_kl": 0.1}, {"max_probs_diff": None, "max_kl": None}


@pytest.mark.parametrize(
    ("metrics", "bounds", "over", "alarm"),
    [
        ({PROBS: 0.01, KL: 0.1}, BOTH, [], 0.0),
        ({PROBS: 0.02, KL: 0.1}, BOTH, [PROBS], 1.0),
        ({PROBS: 0.02, KL: 0.2}, BOTH, [PROBS, KL], 1.0),
        # Neither of a run that has gone wrong is a number.
        ({PROBS: math.nan, KL: math.inf}, BOTH, [PROBS, KL], 1.0),
        ({PROBS: math.nan, KL: 9.0}, NONE, [], 0.0),
        # Compared nothing, as where the trainer takes the rollout's log-probs.
        ({"critic/score/mean": 0.5}, BOTH, [], None),
    ],
)
def test_the_alarm(metrics, bounds, over, alarm):
    found = over_bounds(metrics, bounds)
    assert [sentence.split()[0] for sentence in found] == over
    assert alarm_metrics(metrics, found).get(ALARM) == alarm


@pytest.mark.parametrize(("end_run", "kl", "ends"), [(False, 9.0, False), (True, 9.0, True), (True, 0.001, False)])
def test_the_run_ends_only_where_that_is_configured(end_run, kl, ends):
    from verl_medu1.training.trainer import MedU1Trainer

    config = OmegaConf.create({"rollout_mismatch": {**BOTH, "end_run": end_run}})
    trainer, metrics = SimpleNamespace(config=config, global_steps=7), {PROBS: 0.001, KL: kl}
    if ends:
        with pytest.raises(
            RuntimeError, match=r"step 7 is not trained on: .*k3_kl is 9 \(rollout_mismatch.max_kl is 0.1"
        ):
            MedU1Trainer._watch_mismatch(trainer, metrics)
    else:
        MedU1Trainer._watch_mismatch(trainer, metrics)
    assert metrics[ALARM] == float(kl > 0.1)


def test_verl_logs_what_is_compared():
    from verl import DataProto
    from verl.trainer.ppo.rollout_corr_helper import compute_rollout_correction_and_add_to_batch
    from verl.utils.debug.metrics import calculate_debug_metrics

    tensors = {"old_log_probs": -torch.ones(2, 3), "rollout_log_probs": -torch.rand(2, 3)}
    ids = torch.ones(2, 3, dtype=torch.int64)
    batch = DataProto.from_dict(tensors={**tensors, "responses": ids, "response_mask": ids})
    logged = calculate_debug_metrics(batch)
    logged |= compute_rollout_correction_and_add_to_batch(batch, OURS.algorithm.rollout_correction)[1]
    assert set(MEASURES) <= set(logged)


def corrected(difference: torch.Tensor) -> torch.Tensor:
    """verl's weights with our settings, for a batch in which trainer and rollout differ by this log-ratio."""
    from verl import DataProto
    from verl.trainer.ppo.rollout_corr_helper import compute_rollout_correction_and_add_to_batch

    rollout = torch.full_like(difference, -3.0)
    log_probs = {"old_log_probs": rollout + difference, "rollout_log_probs": rollout}
    batch = DataProto.from_dict(tensors={**log_probs, "response_mask": torch.ones_like(difference)})
    return compute_rollout_correction_and_add_to_batch(batch, OURS.algorithm.rollout_correction)[0].batch[
        "rollout_is_weights"
    ]


def test_a_token_has_the_ratio_of_its_probabilities_as_weight_up_to_two():
    ratios = torch.tensor([[0.25, 1.0, 1.5, 2.0, 5.0]])
    assert torch.allclose(corrected(ratios.log()), torch.tensor([[0.25, 1.0, 1.5, 2.0, 2.0]]))


def test_in_float32_no_weight_is_noticeable():
    noise = 1e-6 * torch.randn(64, 40, generator=torch.Generator().manual_seed(0))
    assert (corrected(noise) - 1).abs().max() < 1e-5
