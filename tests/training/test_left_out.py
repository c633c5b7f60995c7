"""A response without a verdict of the judge leaves its group: the advantages of the others are those without it."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from tensordict import TensorDict
from verl import DataProto
from verl.trainer.ppo.core_algos import agg_loss
from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

from reward_score.judge.failed_share import FailedShare
from verl_medu1.training import left_out, trainer
from verl_medu1.training.gdpo import delivered
from verl_medu1.training.left_out import (
    Validation,
    has_empty_mini_batch,
    leave_out,
    neutral_fields,
    rows_left_out,
)

TOKENS = 3
X = None  # no verdict


def keys_of(groups: list[list[float | None]]) -> list[str]:
    return [f"q{g}_{n}_0" for g, group in enumerate(groups) for n in range(len(group))]


def components_of(groups: list[list[float | None]]) -> list[dict[str, Any]]:
    return [
        {"acc": reward or 0.0, "format": 1.0, "judge_asked": 1.0, "judge_failed": float(reward is None), "reason": "r"}
        for group in groups
        for reward in group
    ]


def advantages(groups: list[list[float | None]], estimator: str) -> list[list[float]]:
    """verl's advantages of the first token, by group, with rows left out as the trainer leaves them out."""
    keys, components = keys_of(groups), components_of(groups)
    rewards = torch.zeros(len(keys), TOKENS)
    # What a failed row was paid must not matter: here it is far from the others.
    rewards[:, -1] = torch.tensor([7.0 if reward is None else reward for group in groups for reward in group])
    masks = torch.ones(len(keys), TOKENS, dtype=torch.int64)
    uids = [key.split("_")[0] for key in keys]
    rows = rows_left_out(keys, components)
    fields = neutral_fields([keys[row] for row in rows], [masks[row] for row in rows])
    for place, row in enumerate(rows):
        uids[row] = fields["uid"][place]
        masks[row], rewards[row] = fields["response_mask"][place], fields["rm_scores"][place]
    data = DataProto.from_dict(
        {"token_level_rewards": rewards, "response_mask": masks}, non_tensors={"uid": np.array(uids, dtype=object)}
    )
    config = OmegaConf.create({"gdpo_reward_keys": ["acc", "format"], "gdpo_reward_weights": None})
    with delivered(components):
        data = compute_advantage_for_multi_trajectories(data, keys, estimator, config=config)
    result = data.batch["advantages"]
    assert (result * (1 - masks) == 0).all()
    flat = iter(result[:, 0].tolist())
    return [[next(flat) for _ in group] for group in groups]


HALF = 0.7071  # 0.5 over the standard deviation of 0 and 1


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        # Nothing failed.
        ([[1.0, 0.0]], [[HALF, -HALF]]),
        # The failed row is in no mean and no standard deviation.
        ([[1.0, 0.0, X]], [[HALF, -HALF, 0.0]]),
        ([[X, 1.0, X, 0.0]], [[0.0, HALF, 0.0, -HALF]]),
        # The others agree: nothing to learn, as without the failed row.
        ([[1.0, 1.0, X]], [[0.0, 0.0, 0.0]]),
        ([[0.0, X, 0.0]], [[0.0, 0.0, 0.0]]),
        # A lone response has nothing to be compared with.
        ([[1.0, X, X]], [[0.0, 0.0, 0.0]]),
        ([[X, X]], [[0.0, 0.0]]),
        # Other groups stay as they are.
        ([[1.0, X], [1.0, 0.0], [X, 0.0, 1.0]], [[0.0, 0.0], [HALF, -HALF], [0.0, -HALF, HALF]]),
    ],
)
def test_advantages_of_grpo(groups, expected):
    for group, values in zip(advantages(groups, "grpo"), expected, strict=True):
        assert group == pytest.approx(values, abs=1e-3)


@pytest.mark.parametrize("estimator", ["grpo", "grpo_vectorized", "rloo", "reinforce_plus_plus_baseline", "medu1_gdpo"])
def test_the_others_get_what_they_get_without_the_failed_rows(estimator):
    groups = [[1.0, X, 0.0, 0.0], [0.0, 1.0, 1.0, X], [X, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]]
    without = [[reward for reward in group if reward is not None] for group in groups]
    found = advantages(groups, estimator)
    for group, values, wanted in zip(groups, found, advantages(without, estimator), strict=True):
        kept = [value for reward, value in zip(group, values, strict=True) if reward is not None]
        assert kept == pytest.approx(wanted, abs=1e-5) and any(kept)
        assert all(value == 0 for reward, value in zip(group, values, strict=True) if reward is None)


def test_all_turns_of_a_response_leave():
    keys = ["q_0_0", "q_0_1", "q_1_0", "q_2_0", "q_2_1"]
    failed = [{}, {"judge_failed": 1.0}, {"judge_failed": 0.0}, {}, {"judge_failed": 0.0}]
    assert rows_left_out(keys, failed) == [0, 1]
    assert rows_left_out(keys, [{}] * 5) == []


def test_the_queue_gets_neutral_rows_and_verl_is_told_to_count_them_as_padding(monkeypatch):
    """verl's queue is replaced by one that keeps what it is given."""
    masks = {"q_0_0": torch.ones(4, dtype=torch.int64), "q_1_0": torch.ones(2, dtype=torch.int64)}
    put: dict[str, Any] = {}

    def get(keys: list[str], partition_id: str, select_fields: list[str]) -> TensorDict:
        nested = torch.nested.as_nested_tensor([masks[key] for key in keys], layout=torch.jagged)
        return TensorDict({"response_mask": nested}, batch_size=len(keys))

    monkeypatch.setattr(
        left_out, "tq", SimpleNamespace(kv_batch_get=get, kv_batch_put=lambda **given: put.update(given))
    )
    batch = SimpleNamespace(keys=["p_0_0", "q_0_0", "q_1_0"], partition_id="train", tags=[{"n": n} for n in range(3)])
    leave_out(batch, [1, 2])
    assert batch.tags == [{"n": 0}, {"n": 1, "is_padding": True}, {"n": 2, "is_padding": True}]
    assert put["keys"] == ["q_0_0", "q_1_0"] and put["tags"] == batch.tags[1:]
    fields = put["fields"]
    assert fields["uid"] == ["left-out-q_0_0", "left-out-q_1_0"]
    for name, dtype in (("response_mask", torch.int64), ("loss_mask", torch.int64), ("rm_scores", torch.float32)):
        rows = fields[name].unbind()
        assert [len(row) for row in rows] == [4, 2] and not any(row.any() for row in rows) and rows[0].dtype == dtype


# ---------------------------------------------------------------- mini-batches

P = True  # a row of padding


def actor_with(mini_batch: int, **more: Any) -> Any:
    plain = {"ppo_mini_batch_size": mini_batch, "ppo_epochs": 1, "data_loader_seed": 42, "shuffle": False}
    return OmegaConf.create({**plain, **more})


@pytest.mark.parametrize(
    ("is_padding", "dp", "is_empty"),
    [
        ([0, 0, 0, 0, 0, 0, 0, 0], 1, False),
        ([P, P, P, P, 0, 0, 0, 0], 1, True),
        ([0, 0, 0, 0, P, P, P, P], 1, True),
        ([0, P, P, P, P, P, P, 0], 1, False),
        ([P, P, P, P, P, P, P, P], 1, True),
        # Two ranks have four rows each, and two of each rank are a mini-batch.
        ([P, P, P, P, 0, 0, 0, 0], 2, False),
        ([P, P, 0, 0, P, P, 0, 0], 2, True),
        ([P, P, 0, 0, 0, 0, P, P], 2, False),
        ([P, P, 0, 0, P, 0, P, P], 2, False),
    ],
)
def test_a_mini_batch_of_padding_is_found_where_verls_loss_is_not_a_number(is_padding, dp, is_empty):
    """Two questions with two responses each are a mini-batch."""
    assert has_empty_mini_batch([bool(one) for one in is_padding], actor_with(2), n=2, dp=dp) is is_empty
    masks = (1 - torch.tensor(is_padding, dtype=torch.int64)).view(dp, 2, 4 // dp, 1).expand(-1, -1, -1, TOKENS)
    tokens = masks.sum(dim=(0, 2, 3))
    losses = [
        agg_loss(torch.ones(4 // dp, TOKENS), masks[rank, part], "token-mean", dp, batch_num_tokens=int(tokens[part]))
        for rank in range(dp)
        for part in range(2)
    ]
    assert any(loss.isnan() for loss in losses) is is_empty


def test_a_mini_batch_of_padding_is_found_if_the_rows_are_shuffled():
    is_padding = [True] * 2 + [False] * 2
    found = {has_empty_mini_batch(is_padding, actor_with(2, shuffle=True, data_loader_seed=n), 1, 1) for n in range(20)}
    assert found == {True, False}
    assert has_empty_mini_batch(is_padding, actor_with(2, shuffle=True, ppo_epochs=40), 1, 1)


@pytest.mark.parametrize(("failed", "ends"), [((0, 1, 2, 3), True), ((0, 1, 4, 5), False)])
def test_a_step_with_a_mini_batch_of_padding_is_not_trained_on(monkeypatch, failed, ends):
    made = trainer.MedU1Trainer.__new__(trainer.MedU1Trainer)
    actor = {"strategy": "fsdp2", **actor_with(2)}
    sizes = {"nnodes": 1, "n_gpus_per_node": 1}
    made.config = OmegaConf.create({"actor_rollout_ref": {"actor": actor, "rollout": {"n": 2}}, "trainer": sizes})
    made._failures, made.global_steps = FailedShare(1.0), 7
    keys = [f"q{row // 2}_{row % 2}_0" for row in range(8)]
    components = [{"judge_asked": 1.0, "judge_failed": float(row in failed)} for row in range(8)]
    batch = SimpleNamespace(keys=keys, partition_id="train", tags=[{} for _ in keys])
    monkeypatch.setattr(
        trainer, "leave_out", lambda batch, rows: [batch.tags[row].update(is_padding=True) for row in rows]
    )
    try:
        made._leave_out(batch, components, metrics := {})
    except RuntimeError as error:
        assert ends and str(error).startswith("step 7 is not trained on: there was no verdict")
    else:
        assert not ends and metrics["judge/left_out"] == 4


# ---------------------------------------------------------------- the share of failures


def answers(asked: int, failed: int) -> list[dict[str, Any]]:
    return [{"judge_asked": 1.0, "judge_failed": float(n < failed), "reason": "judge: timeout"} for n in range(asked)]


@pytest.mark.parametrize(
    ("limit", "steps", "ends"),
    [
        (0.1, [(100, 10)], False),
        (0.1, [(100, 11)], True),
        (0.0, [(100, 0)], False),
        (0.0, [(100, 1)], True),
        (1.0, [(100, 100)], False),
        (0.1, [(19, 19)], False),  # too few to say
        (0.1, [(10, 10), (10, 0)], True),  # over steps
        (0.1, [(1000, 100), (1000, 0), (1000, 100)], False),  # only the latest count
    ],
)
def test_too_many_failures_end_the_run(limit, steps, ends):
    share = FailedShare(limit)
    try:
        for asked, failed in steps:
            share.add([*answers(asked, failed), {"judge_asked": 0.0, "judge_failed": 0.0}, {"acc": 1.0}])
    except RuntimeError as error:
        assert ends and f"max_failed_share is {limit:g}" in str(error)
    else:
        assert not ends


@pytest.mark.parametrize(("failed", "ends"), [(3000, True), (204, False), (205, True)])
def test_all_of_a_large_step_count(failed, ends):
    """The last 1000 have a verdict."""
    share = FailedShare(0.05)
    if not ends:
        return share.add(answers(4096, failed))
    with pytest.raises(RuntimeError, match=f"on {failed} of the latest 4096 answers"):
        share.add(answers(4096, failed))


def test_the_sentence_says_why():
    with pytest.raises(RuntimeError, match=r"on 30 of the latest 40 answers.*\(judge: timeout: 30\)"):
        FailedShare(0.05).add(answers(40, 30))


def test_a_validation_is_of_the_questions_with_all_verdicts():
    infos = {"acc": [1.0, 0.0, 0.0], "judge_failed": [0.0, 1.0, None], "reward": [1.0, 0.0, 0.0]}
    # Two sources may name a question alike.
    all_ = Validation(["s", "s", "t"], ["a", "a", "a"], infos, {("s", "a"): 2, ("t", "a"): 1})
    kept = all_.judged()
    assert (kept.sources, kept.uids) == (["t"], ["a"])
    assert kept.infos == {"acc": [0.0], "judge_failed": [None], "reward": [0.0]}
    assert kept.expected == {("t", "a"): 1}
    assert all_.components()[1] == {"acc": 0.0, "judge_failed": 1.0, "reward": 0.0}
    without_judge = Validation(["s"], ["a"], {"acc": [1.0]}, {})
    assert without_judge.judged() == without_judge


def test_a_missing_verdict_makes_no_metrics_of_their_own():
    made = trainer.MedU1Trainer.__new__(trainer.MedU1Trainer)
    made._failures = FailedShare(1.0)
    infos = {"acc": [1.0, 0.0] * 4, "judge_asked": [1.0] * 8, "judge_failed": [0.0] * 7 + [1.0]}
    expected = {("s", "p"): 4, ("s", "q"): 4}
    metrics = made._val_metrics_update(["s"] * 8, ["p"] * 4 + ["q"] * 4, infos, [], expected)
    assert {name for name in metrics if "@3" in name} == set()
    assert metrics["val-core/s/acc/mean@4"] == 0.5
    counts = {name: value for name, value in metrics.items() if name.startswith("val-aux/judge/")}
    assert counts == {"val-aux/judge/asked": 8, "val-aux/judge/failed": 1, "val-aux/judge/questions_left_out": 1}
