"""Experts: what is read, what a rank holds of them, what travels, and the rules for their keys."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_medu1.machine.gpus import find_gpu
from verl_medu1.plan.architecture import architecture_of, find_architecture, hugging_face_config
from verl_medu1.plan.assumptions import assumptions
from verl_medu1.plan.communication import communication_of
from verl_medu1.plan.expert_layers import dispatch_volume, expert_bytes, received_copies
from verl_medu1.plan.experts import sparse_layers
from verl_medu1.plan.memory import rank_optimizer_bytes
from verl_medu1.plan.parameters import Parts, active_parameters, rank_parameters, total_parameters
from verl_medu1.plan.rollout import rollout_weights
from verl_medu1.plan.rules.layout import find_violations
from verl_medu1.plan.settings import KEYS, Settings
from verl_medu1.plan.verdict import plan_of

MODEL = find_architecture("Qwen3-30B-A3B")
DENSE = find_architecture("Qwen3-8B")
CONFIG = {
    "model_type": "qwen3_moe",
    "hidden_size": 64,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "intermediate_size": 96,
    "moe_intermediate_size": 24,
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "norm_topk_prob": True,
    "vocab_size": 128,
    "max_position_embeddings": 8192,
}
LAYOUT = Settings(nodes=2, tp=2, ep=8, etp=1, rollout_tp=2)


@pytest.mark.parametrize(
    "more",
    [{}, {"decoder_sparse_step": 2}, {"mlp_only_layers": [0, 4]}, {"decoder_sparse_step": 3, "mlp_only_layers": [5]}],
)
def test_transformers_counts_as_many_parameters_and_takes_the_same_layers(more):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    model = architecture_of("x", CONFIG | more)
    with torch.device("meta"):
        made = AutoModelForCausalLM.from_config(
            AutoConfig.for_model(**{**CONFIG, **more, "tie_word_embeddings": False})
        )
    assert sum(parameter.numel() for parameter in made.parameters()) == total_parameters(model)
    assert sum(hasattr(layer.mlp, "experts") for layer in made.model.layers) == model.experts.layers


def test_a_file_of_transformers_is_read_as_the_published_one():
    assert architecture_of(MODEL.name, hugging_face_config(MODEL).to_dict()) == MODEL


def test_published_totals():
    """30.5 B, of which 3.3 B are active; 235 B and 22 B (the model cards)."""
    assert [round(count(MODEL) / 1e9, 1) for count in (total_parameters, active_parameters)] == [30.5, 3.4]
    # The card leaves the embedding out, of which a token takes one row.
    assert round((active_parameters(MODEL) - MODEL.vocabulary * MODEL.hidden) / 1e9, 1) == 3.0
    large = find_architecture("Qwen3-235B-A22B")
    assert [round(count(large) / 1e9) for count in (total_parameters, active_parameters)] == [235, 22]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"num_experts_per_tok": 9}, "num_experts_per_tok 9 .* at most the number of experts, which is 8"),
        ({"mlp_only_layers": 3}, "mlp_only_layers 3 .* a list of numbers of layers"),
        ({"norm_topk_prob": "yes"}, "norm_topk_prob 'yes' .* true or false"),
        ({"moe_intermediate_size": 0}, "moe_intermediate_size 0 .* a whole number from 1"),
    ],
)
def test_what_a_config_can_not_say(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        architecture_of("x", CONFIG | wrong)
    with pytest.raises(ValueError, match="lacks 'num_local_experts'"):
        architecture_of("x", {key: value for key, value in CONFIG.items() if key != "num_experts"})


@given(
    tp=st.sampled_from([1, 2, 4]),
    pp=st.sampled_from([1, 2, 4]),
    ep=st.sampled_from([1, 2, 8, 64]),
    etp=st.sampled_from([1, 2, 4]),
)
def test_the_experts_of_all_ranks_are_those_of_the_model(tp, pp, ep, etp):
    ranks = rank_parameters(MODEL, tp, [48 // pp] * pp, ep, etp)
    whole = rank_parameters(MODEL, 1, [48])[0]
    assert sum(rank.experts for rank in ranks) * ep * etp == whole.experts == 48 * 128 * 3 * 2048 * 768
    assert sum(rank.linear for rank in ranks) * tp == whole.linear


def test_the_optimizer_of_experts_is_shared_by_the_ranks_that_have_the_same():
    """16 ranks: 2 have the same 16 experts, 8 the same other weights."""
    parts = Parts(linear=800, small=0, embedding=0, output=0, experts=1000)
    assert rank_optimizer_bytes(parts, LAYOUT) == 12 * (800 / 8 + 1000 / 2)
    assert rank_optimizer_bytes(parts, replace(LAYOUT, distributed_optimizer=False)) == 12 * 1800


def test_the_same_bytes_of_experts_with_tp_and_ep_in_vllm():
    split = rollout_weights(MODEL, Settings(rollout_tp=4))
    assert split == rollout_weights(MODEL, Settings(rollout_tp=4, rollout_ep=4))
    assert split - rollout_weights(replace(MODEL, experts=None), Settings(rollout_tp=4)) == pytest.approx(
        2 * (48 * 128 * 3 * 2048 * 768 / 4 + 48 * 128 * 2048)
    )


def test_what_travels_and_what_is_kept():
    imbalance = assumptions().expert_imbalance
    assert received_copies(MODEL.experts, LAYOUT) == 4 * imbalance
    assert received_copies(MODEL.experts, replace(LAYOUT, ep=1)) == 4
    # Split experts get all copies of their group, and keep as much in all.
    split = replace(LAYOUT, etp=2)
    assert received_copies(MODEL.experts, split) == 8 * imbalance
    kept = {name: expert_bytes(MODEL, settings) for name, settings in (("whole", LAYOUT), ("split", split))}
    assert kept["split"] - kept["whole"] == pytest.approx(4 * imbalance * 2048 * 2)  # the input of fc1, gathered
    assert dispatch_volume(MODEL, replace(LAYOUT, ep=1)) == 0

    of = communication_of(MODEL, LAYOUT, Parts(0, 0, 0, 0, experts=100), 48)
    passes = 3  # forward, backward, and the old log-probabilities
    tokens = 256 * 8 * 5120 / 8
    assert of.experts == tokens * 48 * passes * 2 * (8 / 2) * 7 / 8 * 2048 * 2
    assert of.data == 2 * 100 * (4 + 2) / 2
    assert of.tensor * 2 == communication_of(replace(MODEL, experts=None), LAYOUT, Parts(0, 0, 0, 0), 48).tensor


def test_recomputing_experts_is_called_moe():
    h100, kept = find_gpu("h100-80"), {}
    for modules in (("mlp",), ("moe",)):
        settings = replace(LAYOUT, recompute="selective", recompute_modules=modules)
        kept[modules] = plan_of(MODEL, h100, settings).ranks[0].phases["training"]["activations"]
    assert kept["moe",] < kept["mlp",] / 2


@pytest.mark.parametrize(
    ("model", "changes", "name", "sentence"),
    [
        (
            MODEL,
            {"ep": 3, "nodes": 3, "tp": 1, "train_batch": 192, "mini_batch": 96},
            "ep",
            "is 3, which does not divide the model's 128 experts; near it are 1, 2, 4",
        ),
        (MODEL, {"ep": 32}, "ep", "is 32, which does not divide the 16 workers; near it are 4, 8, 16"),
        (MODEL, {"ep": 8, "etp": 4}, "ep", "is 32, which does not divide the 16 workers; near it are 1, 2, 4"),
        (MODEL, {"etp": 16, "ep": 1, "pp": 2}, "ep", "lower actor_rollout_ref.actor.megatron.pipeline_model"),
        (
            replace(MODEL, experts=replace(MODEL.experts, ffn=769)),
            {"etp": 2, "rollout_tp": 1},
            "etp",
            "is 2, which does",
        ),
        (
            replace(MODEL, experts=replace(MODEL.experts, ffn=769)),
            {"etp": None, "rollout_tp": 1},
            "etp",
            "is null, which",
        ),
        (
            MODEL,
            {"sequence_parallel": False},
            "sequence_parallel",
            "experts need it with .*above 1 .2.; set it to true",
        ),
        (MODEL, {"pre_softmax": True}, "pre_softmax", "norm_topk_prob is True, .* set it to false"),
        (
            replace(MODEL, experts=replace(MODEL.experts, normalised=False)),
            {},
            "pre_softmax",
            "norm_topk_prob is False, .* set it to true",
        ),
        (MODEL, {"capacity_factor": 1.5}, "capacity_factor", "drops tokens that vLLM computes; set it to null"),
        (MODEL, {"dispatcher": "flex"}, "dispatcher", "is 'flex'; choose one of alltoall"),
        (MODEL, {"router_replay": "R2", "bypass": True}, "router_replay", "skips them; set that to false"),
        (MODEL, {"router_replay": "R3"}, "rollout_routes", "replays vLLM's experts; set it to true"),
        (MODEL, {"router_replay": "R2", "rollout_routes": True}, "rollout_routes", "set it to false, or that to R3"),
        (MODEL, {"router_replay": "R4"}, "router_replay", "choose one of disabled, R2, R3"),
        (MODEL, {"rollout_ep": 4}, "rollout_ep", "is 4, and .* is 2; set it to 1 or 2"),
        (
            replace(MODEL, experts=replace(MODEL.experts, ffn=769)),
            {},
            "rollout_tp",
            "does not divide an expert's 769 columns; near it are 1, 769, or set .*expert_parallel_size to 2",
        ),
        (
            MODEL,
            {"rollout_quantization": "fp8", "rollout_tp": 4},
            "rollout_tp",
            "cuts the .* 768 columns within a block",
        ),
        (DENSE, {"ep": 2, "etp": None}, "ep", "is 2, and model 'Qwen/Qwen3-8B' has no experts; set it to 1"),
        (DENSE, {"ep": 1, "etp": None, "router_replay": "R2"}, "router_replay", "has no experts; set it to disabled"),
        (DENSE, {"ep": 1, "etp": None, "rollout_ep": 2}, "rollout_ep", "has no experts; set it to 1"),
        (DENSE, {"ep": 1, "etp": None, "rollout_routes": True}, "rollout_routes", "has no experts; set it to false"),
    ],
)
def test_a_rule_says_what_is_wrong_and_the_way_out(model, changes, name, sentence):
    (found,) = find_violations(replace(LAYOUT, **changes), model)
    assert found.about == KEYS[name]
    with pytest.raises(AssertionError, match=sentence):
        raise AssertionError(found.sentence)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ep": 16},
        {"etp": None, "ep": 4},
        {"ep": 1, "tp": 1},
        {"router_replay": "R2"},
        {"router_replay": "R3", "rollout_routes": True},
        {"rollout_tp": 8, "rollout_ep": 8, "rollout_quantization": "fp8"},
    ],
)
def test_what_is_possible_is_not_refused(changes):
    assert find_violations(replace(LAYOUT, **changes), MODEL) == []


def test_every_second_layer():
    assert sparse_layers(6, 2, ()) == 3
