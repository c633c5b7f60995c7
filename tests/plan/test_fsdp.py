"""FSDP2's memory against figures worked out by hand; tests/cpu/test_fsdp_memory.py has the tensors of verl's engine."""

from dataclasses import replace

import pytest

from verl_medu1.machine.gpus import find_gpu
from verl_medu1.plan.architecture import find_architecture
from verl_medu1.plan.fsdp import (
    communication_of,
    gradient_bytes,
    optimizer_bytes,
    rank_parts,
    share,
    training_peaks,
    weight_bytes,
)
from verl_medu1.plan.fsdp_activations import kept_bytes, layer_bytes, logit_bytes
from verl_medu1.plan.memory import PHASES
from verl_medu1.plan.parameters import total_parameters
from verl_medu1.plan.rules.layout import find_violations
from verl_medu1.plan.settings import KEYS, Settings
from verl_medu1.plan.verdict import build, plan_of, verdict_of

SEVEN = find_architecture("Qwen2.5-7B-Instruct")  # h 3584, 28 heads of 128, 4 groups, f 18944, V 152064
EIGHT = find_architecture("Qwen3-8B")
TIED = find_architecture("Qwen2.5-3B-Instruct")
H100 = find_gpu("h100-80")
EIGHT_RANKS = Settings(strategy="fsdp2", prompt=2048, token_limit=12288, rollout_tp=2)
LAYER, TABLE = 233_046_016 + 2 * 3584 + 36 * 128, 152064 * 3584


@pytest.mark.parametrize("model", [SEVEN, EIGHT, TIED])
def test_all_shares_are_the_model(model):
    one = rank_parts(model, replace(EIGHT_RANKS, gpus_per_node=1))
    assert one.total == total_parameters(model)
    # A rank count that divides no tensor: the first rank has a row more of each.
    some = rank_parts(model, replace(EIGHT_RANKS, gpus_per_node=5, rollout_tp=1))
    assert some.total > total_parameters(model) / 5


def test_a_share_is_rounded_up_to_rows():
    assert share([(16, 100)], 64) == 100 and share([(16, 100), (16, 100)], 8) == 400


def test_float32_weights_are_the_only_copy():
    parts = rank_parts(SEVEN, EIGHT_RANKS)
    assert parts.total == total_parameters(SEVEN) / 8
    kept = (
        weight_bytes(parts, EIGHT_RANKS),
        gradient_bytes(SEVEN, parts, EIGHT_RANKS),
        optimizer_bytes(parts, EIGHT_RANKS),
    )
    assert kept == (4 * parts.total, 4 * parts.total, 8 * parts.total)
    low = replace(EIGHT_RANKS, model_dtype="bf16")
    assert (weight_bytes(parts, low), optimizer_bytes(parts, low)) == (2 * parts.total, 4 * parts.total)
    # Whole gradients until the last micro-batch.
    assert gradient_bytes(SEVEN, parts, replace(low, no_sync=True)) == 4 * total_parameters(SEVEN)
    # Groups of 4, and 2 copies of the model.
    assert rank_parts(SEVEN, replace(EIGHT_RANKS, fsdp_size=4)).total == total_parameters(SEVEN) / 4


def test_lora_trains_adapters_alone():
    settings = replace(EIGHT_RANKS, peft_rank=16)
    parts = rank_parts(SEVEN, settings)
    # A has r rows, two on each of eight ranks; B as many as its matrix has outputs.
    a, b = 2 * (6 * 3584 + 18944), 2 * (2 * 3584 + 2 * 512 + 2 * 18944 + 3584)
    assert parts.adapters == 28 * (a + b)
    assert (
        optimizer_bytes(parts, settings)
        == 8 * parts.adapters
        < 0.15 * optimizer_bytes(rank_parts(SEVEN, EIGHT_RANKS), EIGHT_RANKS)
    )


@pytest.mark.parametrize(
    ("model", "settings", "expected"),
    [
        # Norms in float32 8 h, before scaling and after it 4 h x 2; 36 heads; sums; output; 4 f x 2.
        (SEVEN, {}, 28_672 + 28_672 + 9_216 + 112 + 7_168 + 151_552),
        (SEVEN, {"attn_implementation": "sdpa"}, 28_672 + 28_672 + 9_216 + 112 + 2 * 7_168 + 151_552),
        # Query and key before and after their norms' scaling, in float32 and bfloat16: 40 x 128 x 6.
        (EIGHT, {}, 32_768 + 32_768 + 12_288 + 128 + 8_192 + 98_304 + 30_720),
        # An adapter on q keeps one norm's output; nothing needs the others, or the product in the MLP.
        (SEVEN, {"peft_rank": 16, "peft_targets": ["q_proj"]}, 28_672 + 7_168 + 9_216 + 112 + 7_168 + 113_664 + 32),
        (SEVEN, {"peft_rank": 16}, 28_672 + 14_336 + 9_216 + 112 + 7_168 + 151_552 + 7 * 32),
    ],
)
def test_bytes_of_a_layer(model, settings, expected):
    assert layer_bytes(model, replace(EIGHT_RANKS, **settings)) == expected


def test_gradient_checkpointing_keeps_inputs():
    last = 12288 * (4 + 4) * 3584
    assert kept_bytes(SEVEN, EIGHT_RANKS) == 12288 * 28 * 2 * 3584 + last
    whole = replace(EIGHT_RANKS, gradient_checkpointing=False)
    assert kept_bytes(SEVEN, whole) == 12288 * 28 * layer_bytes(SEVEN, whole) + last


@pytest.mark.parametrize(
    ("settings", "is_training", "copies"),
    [
        ({}, True, 1),
        ({}, False, 3),
        ({"entropy_coefficient": 0.1}, True, 4),
        ({"attn_implementation": "sdpa"}, True, 4),
        ({"attn_implementation": "sdpa", "packed": False}, True, 5),
        ({"packed": False}, False, 4),
        ({"fused_logits": True}, False, 0),
    ],
)
def test_bytes_of_the_logits(settings, is_training, copies):
    assert logit_bytes(SEVEN, replace(EIGHT_RANKS, **settings), is_training) == copies * 152064 * 2


def test_what_is_gathered_when():
    found = training_peaks(SEVEN, EIGHT_RANKS, rank_parts(SEVEN, EIGHT_RANKS))
    assert found["logits"]["gathering"] == 2 * (2 * TABLE + LAYER)
    assert found["layer"]["gathering"] == 2 * 2 * LAYER + 6 * LAYER
    assert found["embedding"]["gathering"] == 2 * TABLE + 6 * TABLE
    lora = training_peaks(SEVEN, replace(EIGHT_RANKS, peft_rank=16), rank_parts(SEVEN, EIGHT_RANKS))
    assert lora["embedding"]["gathering"] == 2 * TABLE
    # Tied embeddings stay, with their gradient.
    tied = training_peaks(TIED, EIGHT_RANKS, rank_parts(TIED, EIGHT_RANKS))
    layer = total_parameters(replace(TIED, layers=1)) - total_parameters(replace(TIED, layers=0))
    assert tied["layer"]["gathering"] == 10 * layer + 4 * 151936 * 2048


def test_phases_and_offload():
    parts = rank_parts(SEVEN, EIGHT_RANKS)
    kept = build(SEVEN, H100, EIGHT_RANKS).ranks[0].phases
    offloaded = replace(EIGHT_RANKS, fsdp_param_offload=True, fsdp_optimizer_offload=True)
    freed = build(SEVEN, H100, offloaded).ranks[0].phases
    assert kept["training"] == freed["training"]
    assert (kept["generation"]["weights"], freed["generation"]["weights"]) == (4 * parts.total, 0)
    assert (kept["generation"]["optimizer"], freed["generation"]["optimizer"]) == (8 * parts.total, 0)
    assert freed["log-probabilities"]["weights"] == 4 * parts.total
    assert freed["weight sync"]["weights"] == 0  # one tensor after another
    lora = build(SEVEN, H100, replace(offloaded, peft_rank=16)).ranks[0].phases
    assert lora["weight sync"]["weights"] > 4 * parts.total
    policy = build(SEVEN, H100, replace(EIGHT_RANKS, offload_policy=True)).ranks[0].phases
    assert policy["training"]["weights"] == policy["training"]["optimizer"] == 0
    assert policy["training"]["gathering"] == kept["training"]["gathering"]


def test_communication_by_hand():
    settings = replace(EIGHT_RANKS, train_batch=64, mini_batch=64, n=8, bypass=True, response=4096)
    found, whole = communication_of(SEVEN, settings), total_parameters(SEVEN)
    micro_batches = 64 * 8 * 6144 / 8 / 12288
    assert found.data == micro_batches * whole * (2 + 2 + 4) * 7 / 8
    kept = communication_of(SEVEN, replace(settings, reshard_after_forward=False))
    assert kept.data == micro_batches * whole * (2 + 4) * 7 / 8
    assert (found.tensor, found.pipeline, found.context) == (0, 0, 0)
    split = communication_of(SEVEN, replace(settings, ulysses=2))
    assert split.context == 64 * 8 * 6144 / 8 * 28 * 64 * 128 * 2 / 2 * 3


def test_the_verdict_says_what_to_change():
    tight = plan_of(SEVEN, H100, replace(EIGHT_RANKS, gradient_checkpointing=False, utilization=0.8))
    verdict = verdict_of(tight)
    assert verdict.word == "fits with these changes" and verdict.changed.problems == []
    assert set(verdict.changes) <= {
        KEYS[name]
        for name in (
            "fsdp_param_offload",
            "fsdp_optimizer_offload",
            "gradient_checkpointing",
            "token_limit",
            "utilization",
        )
    }
    alone = replace(EIGHT_RANKS, gpus_per_node=1, rollout_tp=1)
    assert verdict_of(plan_of(SEVEN, H100, alone)).word == "does not fit"


def test_more_ranks_need_less():
    def most(ranks, **changes):
        [rank] = build(SEVEN, H100, replace(EIGHT_RANKS, gpus_per_node=ranks, rollout_tp=1, **changes)).ranks
        return [rank.total(phase) for phase in PHASES]

    assert most(8)[0] < most(4)[0] < most(2)[0]
    assert most(8, peft_rank=16)[0] < most(8)[0]


@pytest.mark.parametrize(
    ("settings", "sentences"),
    [
        ({"fsdp_size": 3}, ["fsdp_config.fsdp_size is 3, which does not divide the 8 workers"]),
        ({"fsdp_size": 0}, ["fsdp_config.fsdp_size is 0, which does not divide the 8 workers"]),
        ({"fsdp_size": 16}, []),
        (
            {"packed": False},
            ["use_dynamic_bsz is True, and actor_rollout_ref.model.use_remove_padding is False, with which verl pads"],
        ),
        ({"packed": False, "device": "cpu"}, []),
        ({"fsdp_size": 4}, []),
        (
            {"ulysses": 8, "token_limit": 12288},
            ["ulysses_sequence_parallel_size is 8, which must divide the model's 28"],
        ),
        ({"model_dtype": "fp8"}, ["fsdp_config.model_dtype is 'fp8'; choose one of fp32, bf16"]),
        (
            {"offload_policy": True, "fsdp_param_offload": True},
            ["fsdp_config.param_offload is True, and actor_rollout_ref.actor.fsdp_config.offload_policy is True"],
        ),
    ],
)
def test_each_violation_has_its_sentence(settings, sentences):
    found = [problem.sentence for problem in find_violations(replace(EIGHT_RANKS, **settings), SEVEN)]
    assert len(found) == len(sentences)
    for sentence, part in zip(found, sentences, strict=True):
        assert part in sentence
