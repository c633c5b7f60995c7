"""From components to groups and values, and GDPO's components on their way to verl's estimator."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage, get_adv_estimator_fn

from verl_medu1.length.advantage import shape_advantages
from verl_medu1.length.shaping import length_shaping
from verl_medu1.training.gdpo import delivered, gdpo


def sample(uid, length, acc=1.0, source="MedQA", mode="exact", tokens=100):
    return {
        "uid": uid,
        "data_source": source,
        "acc": acc,
        "score": acc,
        "counted_tokens": length,
        "budget_mode": mode,
        "budget_tokens": tokens,
    }


def penalty(name="relative_distance", weight=1.0, unit="tokens", **per_source):
    return OmegaConf.create(
        {"name": name, "unit": unit, "weight": weight, "tolerance": 0.0, "free_share": 0.5, "per_source": per_source}
    )


def test_each_question_has_its_own_budget_and_its_own_group():
    samples = [sample("b", 100), sample("a", 100, tokens=50), sample("b", 150), sample("a", 70, mode="none", acc=0)]
    samples[3] |= {"budget_mode": "exact", "budget_tokens": 50}
    shaping = length_shaping(samples, [False] * 4, penalty(), longest=1000)
    assert shaping.values.tolist() == pytest.approx([1.0, -1.0, 0.0, 0.2])
    assert shaping.group[0] == shaping.group[2] != shaping.group[1] == shaping.group[3]
    assert shaping.correct.tolist() == [True, True, True, False]


def test_padding_is_in_no_group():
    samples = [sample("a", 100), sample("a", 300), sample("a", 900)]
    shaping = length_shaping(samples, [False, False, True], penalty("group_relative"), longest=1000)
    assert shaping.values.tolist() == [0.5, -0.5, 0.0]
    assert shaping.correct.tolist() == [True, True, False]


@pytest.mark.parametrize("name", ["kimi", "grpo_lead", "group_relative"])
def test_prices_count_among_right_answers_alone(name):
    """The cheaper right answer is better, and how cheap a wrong one is changes nothing for it."""
    costs = [(5.0, 1.0), (40.0, 1.0), (0.0, 0.0), (90.0, 0.0)]
    samples = [sample("a", 100, acc=acc) | {"examination_cost": cost} for cost, acc in costs]
    shaping = length_shaping(samples, [False] * 4, penalty(name, unit="prices"), longest=1)
    cheap, dear, *_ = shaping.values.tolist()
    assert cheap > dear
    base = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]])
    shaped = shape_advantages(
        base, torch.ones(4, 1), shaping.group, shaping.correct, shaping.values.clamp(-1, 1), shaping.weight
    ).advantages
    assert shaped[0] > shaped[1] > shaped[2] == shaped[3] == -1.0


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("group_relative", [0.5, -0.5, 0.0, 0.0]),
        ("dapo_overlong", [0.0, 0.0, -1.0, 0.0]),  # of at most 4 calls 3.2 are free
        ("alp", [-0.1875, -0.5625, -0.75, 0.0]),
    ],
)
def test_calls_count_in_place_of_tokens_and_have_no_budget(name, values):
    """Of right answers the one with fewer searches is better, however many tokens it has."""
    calls = [(1, 1.0), (3, 1.0), (4, 0.0 if name == "group_relative" else 1.0), (0, 0.0)]
    samples = [sample("a", 300 - 50 * number, acc=acc) | {"calls": float(number)} for number, acc in calls]
    shaping = length_shaping(samples, [False] * 4, penalty(name, unit="calls"), longest=4)
    assert shaping.values.tolist() == pytest.approx(values)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 300), st.booleans(), st.booleans()), max_size=20))
def test_a_question_among_others_has_the_values_that_it_has_alone(rows):
    """In any order of the rows, with padding between them."""
    samples = [sample(uid, float(length), acc=float(right), mode="none") for uid, length, right, _ in rows]
    is_padding = [padding for *_, padding in rows]
    found = length_shaping(samples, is_padding, penalty("group_relative"), longest=1000).values
    for uid in "abcd":
        own = [row for row, one in enumerate(samples) if one["uid"] == uid and not is_padding[row]]
        alone = length_shaping([samples[row] for row in own], [False] * len(own), penalty("group_relative"), 1000)
        assert torch.equal(found[own], alone.values)
    assert not found[is_padding].any()


def test_a_reward_function_of_the_users_may_return_no_verdict():
    samples = [sample("a", 100) | {"score": 0.3}, sample("a", 100) | {"score": 0.0}]
    for one in samples:
        del one["acc"]
    assert length_shaping(samples, [False] * 2, penalty(), 1000).correct.tolist() == [True, False]


def test_a_right_answer_that_earns_nothing_is_not_moved_by_its_length():
    """Malformed: moved up by its length, it could pass one that is right and well-formed."""
    samples = [sample("a", 150), sample("a", 10) | {"score": 0.0, "format": 0.0}, sample("a", 10, acc=0.0)]
    shaping = length_shaping(samples, [False] * 3, penalty("group_relative"), 1000)
    assert shaping.correct.tolist() == [True, False, False]


def test_a_source_may_have_its_own_weight():
    samples = [sample("a", 100), sample("b", 100, source="MedMCQA")]
    assert length_shaping(samples, [False] * 2, penalty(weight=0.5, MedMCQA=0.0), 1000).weight.tolist() == [0.5, 0.0]


def test_gdpo_normalises_each_component_that_the_trainer_delivers():
    mask = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 1, 1]])
    index = np.array(["a", "a", "b", "b"], dtype=object)
    components = [{"acc": 1.0, "format": 1.0}, {"acc": 0.0, "format": 1.0}, {"acc": 0.0, "format": 0.0}]
    components.append({"acc": 0.0, "format": 1.0})
    config = OmegaConf.create({"gdpo_reward_keys": ["acc", "format"], "gdpo_reward_weights": [2.0, 1.0]})
    assert get_adv_estimator_fn("medu1_gdpo") is gdpo
    with delivered(components):
        advantages, _ = gdpo(torch.zeros(4, 3), mask, index, config)

    def normalised(key: str) -> torch.Tensor:
        rewards = torch.zeros(4, 3)
        rewards[:, 0] = torch.tensor([sample[key] for sample in components])
        return compute_grpo_outcome_advantage(rewards, mask, index)[0]

    mixed = 2.0 * normalised("acc") + normalised("format")
    tokens = mixed[mask.bool()]
    expected = (mixed - tokens.mean()) / (tokens.var() + 1e-8).sqrt() * mask
    torch.testing.assert_close(advantages, expected)
    assert not torch.allclose(advantages, torch.zeros(4, 3))


def test_a_verdict_that_is_no_number_is_named():
    samples = [sample("a", 100) | {"acc": "yes"}]
    with pytest.raises(ValueError, match=r"component acc of data source .* is 'yes' and must be a number"):
        length_shaping(samples, [False], penalty(), 1000)
