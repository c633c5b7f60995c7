"""Each variant of the algorithm: it composes and passes the checks, and verl then computes what its paper says."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from verl_medu1.checks.run import check

ROOT = Path(__file__).resolve().parents[2]
VARIANTS = sorted(file.stem for file in (ROOT / "verl_medu1" / "config" / "variant").glob("*.yaml"))

# Two questions of four answers, of one to five tokens.
GROUP = np.array([0, 0, 0, 0, 1, 1, 1, 1])
REWARD = np.array([1, 0, 0, 1, 0, 0, 1, 0], dtype=float)
FORMAT = np.array([1, 1, 0, 1, 1, 0, 1, 1], dtype=float)
LENGTHS = np.array([5, 3, 1, 2, 4, 5, 2, 3])
MASK = (np.arange(5) < LENGTHS[:, None]).astype(float)


def in_group(values: np.ndarray, change: Any) -> np.ndarray:
    return np.concatenate([change(values[label == GROUP]) for label in (0, 1)])


def standardised(values: np.ndarray) -> np.ndarray:
    return in_group(values, lambda group: (group - group.mean()) / (group.std(ddof=1) + 1e-6))


def over_tokens(values: np.ndarray) -> np.ndarray:
    """Normalised over all tokens of the batch."""
    tokens = np.repeat(values, LENGTHS)
    return (values - tokens.mean()) / np.sqrt(tokens.var(ddof=1) + 1e-8)


ADVANTAGES = {
    "dr_grpo": in_group(REWARD, lambda group: group - group.mean()),
    "rloo": in_group(REWARD, lambda group: group - (group.sum() - group) / (len(group) - 1)),
    "reinforce_pp": over_tokens(REWARD),
    "gdpo": over_tokens(standardised(REWARD) + standardised(FORMAT)),
}


@pytest.fixture(scope="module")
def variant(configure: Any) -> Any:
    """Composes the quickstart with a variant, each once."""
    found: dict[str, DictConfig] = {}

    def get(name: str) -> DictConfig:
        if name not in found:
            found[name] = configure(f"variant={name}")
        return found[name]

    return get


@pytest.mark.parametrize("name", VARIANTS)
def test_it_passes_the_checks_before_the_start(variant, name, inputs, tmp_path):
    config = variant(name)
    if name == "dapo":
        with pytest.raises(ValueError, match=r"'dapo_overlong', which is for .* budget max or none, .* has exact only"):
            check(config)
        table = pq.read_table(inputs / "data" / "train.parquet")
        rows = [row | {"extra_info": row["extra_info"] | {"budget_mode": "max"}} for row in table.to_pylist()]
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), tmp_path / "max.parquet")
        config = OmegaConf.merge(config, {"data": {"train_files": str(tmp_path / "max.parquet")}})
    check(config)


@pytest.mark.parametrize("name", VARIANTS)
def test_its_keys_win_over_the_recipe(variant, name):
    config = variant(name)
    file = OmegaConf.load(ROOT / "verl_medu1" / "config" / "variant" / f"{name}.yaml")

    def compare(node: Any, at: str) -> None:
        for key, value in node.items_ex(resolve=False):
            path = f"{at}.{key}" if at else str(key)
            if isinstance(value, DictConfig):
                compare(value, path)
            elif not OmegaConf.is_interpolation(node, key):
                assert OmegaConf.select(config, path) == value, path

    compare(file, "")


def test_the_table_has_each_variant_with_its_paper():
    text = (ROOT / "docs" / "training.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| \[([0-9.]+)\]", text, re.M))
    assert sorted(rows) == VARIANTS
    for name, paper in rows.items():
        assert f"arXiv {paper}" in (ROOT / "verl_medu1" / "config" / "variant" / f"{name}.yaml").read_text()


@pytest.mark.parametrize("name", VARIANTS)
def test_verls_advantages_are_the_papers(variant, name):
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn

    from verl_medu1.training.gdpo import delivered

    algorithm = variant(name).algorithm
    rewards = torch.zeros(8, 5)
    rewards[torch.arange(8), torch.from_numpy(LENGTHS) - 1] = torch.from_numpy(REWARD).float()
    inputs = {"token_level_rewards": rewards, "response_mask": torch.from_numpy(MASK).long(), "config": algorithm}
    if algorithm.adv_estimator == "grpo":
        inputs["norm_adv_by_std_in_grpo"] = algorithm.norm_adv_by_std_in_grpo
    if algorithm.adv_estimator != "reinforce_plus_plus":
        inputs["index"] = GROUP
    with delivered([{"acc": acc, "format": kept} for acc, kept in zip(REWARD, FORMAT, strict=True)]):
        found = get_adv_estimator_fn(algorithm.adv_estimator)(**inputs)[0]
    expected = ADVANTAGES.get(name, standardised(REWARD))
    assert found.numpy() == pytest.approx(expected[:, None] * MASK, abs=1e-6)


def papers_loss(name: str, advantages: np.ndarray, ratio: np.ndarray, log_prob: np.ndarray) -> float:
    """The loss of the whole batch as one update."""
    low, high = {"dapo": (0.2, 0.28), "gspo": (3e-4, 4e-4)}.get(name, (0.2, 0.2))
    if name == "gspo":
        ratio = np.exp((np.log(ratio) * MASK).sum(1) / LENGTHS)[:, None] * np.ones_like(MASK)
    if name == "cispo":
        losses = -np.minimum(ratio, 1.2) * advantages * log_prob
    else:
        losses = -np.minimum(ratio * advantages, np.clip(ratio, 1 - low, 1 + high) * advantages)
    if name in ("grpo", "gspo"):
        return float(((losses * MASK).sum(1) / LENGTHS).mean())
    if name == "dr_grpo":
        return float((losses * MASK).sum(1).mean() / 128)
    return float((losses * MASK).sum() / MASK.sum())


@pytest.mark.parametrize("name", VARIANTS)
def test_verls_loss_is_the_papers(variant, name):
    from verl.trainer.ppo.core_algos import get_policy_loss_fn
    from verl.workers.config import ActorConfig, PolicyLossConfig

    actor = variant(name).actor_rollout_ref.actor
    read = ("clip_ratio", "clip_ratio_low", "clip_ratio_high", "clip_ratio_c", "loss_agg_mode", "loss_scale_factor")
    config = ActorConfig(
        strategy="fsdp2",
        rollout_n=4,
        use_dynamic_bsz=True,
        policy_loss=PolicyLossConfig(loss_mode=actor.policy_loss.loss_mode),
        **{key: actor[key] for key in read},
    )
    config.global_batch_info["loss_scale_factor"] = config.loss_scale_factor
    draw = np.random.default_rng(0)
    old, advantages = -draw.uniform(0.1, 2, MASK.shape), draw.normal(size=8)[:, None] * MASK
    # Ratios from 0.55 to 1.8: below verl's dual clip of 3, and outside each variant's range.
    log_prob = old + draw.uniform(-0.6, 0.6, MASK.shape)
    tensors = [torch.from_numpy(values).float() for values in (old, log_prob, advantages, MASK)]
    loss_fn = get_policy_loss_fn(actor.policy_loss.loss_mode)
    found, _ = loss_fn(*tensors, loss_agg_mode=actor.loss_agg_mode, config=config)
    expected = papers_loss(name, advantages, np.exp(log_prob - old), log_prob)
    assert float(found) == pytest.approx(expected, rel=1e-4)
