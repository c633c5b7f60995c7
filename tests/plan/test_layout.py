"""The rules of a layout: random valid settings pass, random invalid ones are refused with the right key."""

from dataclasses import fields, replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from verl_medu1.machine.machine import Machine
from verl_medu1.plan.architecture import find_architecture, listed_models
from verl_medu1.plan.rules.layout import CHOICES, POSITIVE, find_violations
from verl_medu1.plan.rules.precision import BLOCK_SCALES, RECIPES, _sizes
from verl_medu1.plan.rules.sizes import divisors, tensor_sizes
from verl_medu1.plan.settings import KEYS, Settings

SDPA = {"attn_implementation": "sdpa"}
GOOD_MACHINE = Machine(capability=(9, 0), cuda=(12, 9), transformer_engine=True, apex=True, flash_attn=True)
MANY = settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
FP8 = {
    "fp8": "hybrid",
    "fp8_recipe": "blockwise",
    "optimizer_fp8_recipe": "blockwise",
    "environment": {BLOCK_SCALES: "1"},
}


ON_MEGATRON = [name for name in listed_models() if not find_architecture(name).vision]


@st.composite
def valid(draw, least_dp=1, least_pp=1):
    """A model and settings without a fault."""
    model = find_architecture(draw(st.sampled_from(ON_MEGATRON)))
    split = [size for size in tensor_sizes(model) if model.ffn % size == 0 and size <= 8]
    tp = draw(st.sampled_from([size for size in split if model.vocabulary % size == 0]))
    pp = draw(st.sampled_from([size for size in divisors(model.layers) if least_pp <= size <= 16]))
    cp = draw(st.sampled_from([1, 2, 4]))
    dp = draw(st.integers(least_dp, 9))
    gpus = tp * pp * cp * dp
    node = 8 if gpus % 8 == 0 else gpus
    mini_batch = dp * draw(st.integers(1, 8))
    biases = (model.heads + 2 * model.groups) * model.head_dim if model.qkv_bias else 0
    prompt = draw(st.integers(1, model.positions // 2))
    response = draw(st.integers(1, model.positions // 2))
    sizes = Settings(
        nodes=gpus // node,
        gpus_per_node=node,
        tp=tp,
        pp=pp,
        cp=cp,
        # Biases of a rank fill no whole bucket otherwise.
        reshardable=tp <= 4 and dp * cp in (1, 2, 4, 8) and biases % (128 * tp) == 0,
        vpp=draw(st.sampled_from([None, *divisors(model.layers // pp)])) if pp > 1 else None,
        train_batch=mini_batch * draw(st.integers(1, 4)),
        mini_batch=mini_batch,
        n=draw(st.integers(1, 16)),
        prompt=prompt,
        response=response,
        token_limit=-(-(prompt + response) // cp) + draw(st.integers(0, 4096)),
        rollout_tp=draw(st.sampled_from([size for size in split if node % size == 0])),
        utilization=draw(st.floats(0.1, 0.9)),
    )
    if draw(st.booleans()) and not any(number % multiple for number, multiple, _ in _sizes(model, tp)):
        sizes = replace(sizes, **FP8)
    return model, sizes


@MANY
@given(valid())
def test_valid_settings_are_accepted(case):
    model, sizes = case
    assert find_violations(sizes, model, GOOD_MACHINE) == []


@MANY
@given(valid(), st.sampled_from(POSITIVE), st.sampled_from([0, -1, 1.5, True, "two"]))
def test_sizes_that_are_no_sizes(case, name, value):
    model, sizes = case
    found = find_violations(replace(sizes, **{name: value}), model, GOOD_MACHINE)
    assert [violation.about for violation in found] == [KEYS[name]]


@MANY
@given(valid(), st.sampled_from([field for field in fields(Settings) if field.default is not None]))
def test_values_that_may_not_be_null(case, field):
    model, sizes = case
    found = find_violations(replace(sizes, **{field.name: None}), model, GOOD_MACHINE)
    assert [violation.about for violation in found] == [KEYS[field.name]]


@pytest.mark.parametrize("name", sorted(CHOICES))
@pytest.mark.parametrize("value", ["fp32x", "ful", "", 4, False])
def test_a_value_that_is_none_of_a_few(name, value):
    found = find_violations(Settings(**{name: value}), find_architecture("Qwen3-8B"), GOOD_MACHINE)
    assert [violation.about for violation in found] == [KEYS[name]]
    assert repr(value) in found[0].sentence and ", ".join(CHOICES[name]) in found[0].sentence


@pytest.mark.parametrize(
    ("name", "value"),
    [("dynamic", "yes"), ("utilization", "half"), ("kv_dtype", 8), ("recompute_modules", "mlp"), ("environment", 5)],
)
def test_a_value_of_another_kind(name, value):
    found = find_violations(Settings(**{name: value}), find_architecture("Qwen3-8B"), GOOD_MACHINE)
    assert [violation.about for violation in found] == [KEYS[name]]


# Name of the field whose key is expected -> changes that break its rule, given the model and valid settings.
BREAKS = {
    "a world that does not divide": ("tp", lambda m, s: {"nodes": 1, "gpus_per_node": s.model_parallel * s.dp + 1}),
    "heads": ("tp", lambda m, s: {"tp": 3 * s.tp, "nodes": 3 * s.nodes}),
    "groups": ("tp", lambda m, s: {"tp": 5 * s.tp, "nodes": 5 * s.nodes}),
    "layers": ("pp", lambda m, s: {"pp": m.layers + 1, "nodes": s.nodes * (m.layers + 1), "vpp": None}),
    "all layers on the first stage": ("first_layers", lambda m, s: {"first_layers": m.layers}),
    "too many on the last": ("last_layers", lambda m, s: {"first_layers": 1, "last_layers": m.layers}),
    "virtual stages": ("vpp", lambda m, s: {"vpp": m.layers + 1}),
    "vLLM's size": ("rollout_tp", lambda m, s: {"rollout_tp": 11}),
    "vLLM's executor": ("rollout_executor", lambda m, s: {"rollout_executor": "uni"}),
    "mini-batch over ranks": ("mini_batch", lambda m, s: {"n": 1, "mini_batch": s.dp + 1, "train_batch": 4 * s.dp}),
    "mini-batch over batch": ("mini_batch", lambda m, s: {"mini_batch": s.train_batch + s.dp}),
    "positions": ("response", lambda m, s: {"response": m.positions, "token_limit": 4 * m.positions}),
    "token limit": ("token_limit", lambda m, s: {"token_limit": (s.longest - 1) // s.cp}),
    "no micro-batch": ("micro_batch", lambda m, s: {"dynamic": False}),
    "micro-batch": ("micro_batch", lambda m, s: {"dynamic": False, "micro_batch": s.train_batch * s.n + 1}),
    "share": ("utilization", lambda m, s: {"utilization": 1.5}),
    "FP8 on the CPU": ("fp8", lambda m, s: {**FP8, "device": "cpu", "cp": 1, "nodes": s.nodes * s.cp}),
    "FP8's format": ("fp8", lambda m, s: {**FP8, "fp8": "e5m2"}),
    "no recipe": ("fp8_recipe", lambda m, s: {**FP8, "fp8_recipe": None}),
    "unknown recipe": ("fp8_recipe", lambda m, s: {**FP8, "fp8_recipe": "mxfp4"}),
    "a recipe for other hardware": ("fp8_recipe", lambda m, s: {**FP8, "fp8_recipe": "mxfp8"}),
    "optimizer's recipe": ("optimizer_fp8_recipe", lambda m, s: {**FP8, "optimizer_fp8_recipe": None}),
    "variable": ("environment", lambda m, s: {**FP8, "environment": {}}),
    "gradients": ("main_grads_dtype", lambda m, s: {"main_grads_dtype": "bf16"}),
    "precision": ("precision_aware", lambda m, s: {"precision_aware": True, "distributed_optimizer": False}),
    "shifted embedding": ("reshardable", lambda m, s: {"reshardable": True, "nodes": 3 * 7 * s.nodes}),
    "context on the CPU": ("cp", lambda m, s: {"device": "cpu", "cp": 2, "nodes": 2 * s.nodes, "fp8": None}),
}  # fmt: skip
NOT_POSSIBLE = {
    "a world that does not divide": lambda m, s: s.model_parallel == 1,
    "heads": lambda m, s: m.heads % (3 * s.tp) == 0,
    "groups": lambda m, s: m.heads % 5 == 0 and (m.groups % (5 * s.tp) == 0 or 5 * s.tp % m.groups == 0),
    "vLLM's executor": lambda m, s: s.rollout_tp == 1,
    "token limit": lambda m, s: s.longest <= s.cp,
    "shifted embedding": lambda m, s: not m.tied or s.pp == 1 or (s.dp * s.cp) % 7 == 0,
    "mini-batch over ranks": lambda m, s: s.dp == 1,
}


@MANY
@given(valid(least_dp=2, least_pp=2), st.sampled_from(sorted(BREAKS)))
def test_invalid_settings_are_refused_with_the_right_key(case, kind):
    model, sizes = case
    name, change = BREAKS[kind]
    assume(kind not in NOT_POSSIBLE or not NOT_POSSIBLE[kind](model, sizes))
    broken = replace(sizes, **change(model, sizes))
    found = find_violations(broken, model, GOOD_MACHINE)
    assert any(violation.about == KEYS[name] for violation in found)
    for violation in found:
        assert violation.about in violation.sentence and violation.sentence.endswith(".")
        assert "\n" not in violation.sentence


@pytest.mark.parametrize(
    ("machine", "changes", "sentence"),
    [
        (
            {"transformer_engine": False},
            {},
            "strategy is 'megatron', and Transformer Engine can't be imported here, which Megatron-Bridge needs on "
            "GPUs; `make install-gpu` installs it.",
        ),
        (
            {"capability": (8, 0)},
            FP8,
            "fp8_recipe is 'blockwise', which needs compute capability 9.0 or more, and the GPU has 8.0; set "
            "actor_rollout_ref.actor.megatron.override_transformer_config.fp8 to null.",
        ),
        (
            {"capability": (8, 9)},
            FP8,
            "fp8_recipe is 'blockwise', which needs compute capability 9.0 or more, and the GPU has 8.9; choose one of "
            "delayed, tensorwise.",
        ),
        (
            {"capability": (12, 0)},
            {**FP8, "fp8_recipe": "mxfp8"},
            "fp8_recipe is 'mxfp8', which needs compute capability 10.0 or more and below 12.0, and the GPU has 12.0; "
            "choose one of blockwise, delayed, tensorwise.",
        ),
        (
            {"cuda": (12, 6)},
            FP8,
            "fp8_recipe is 'blockwise', which needs CUDA 12.9 or more, and here is 12.6; choose tensorwise or delayed, "
            "or a newer CUDA.",
        ),
        (
            {"apex": False},
            {"accumulation_fusion": True},
            "gradient_accumulation_fusion is True, and NVIDIA Apex's kernels can't be imported (PyPI's apex is another "
            "project); set it to false, or build Apex from source.",
        ),
        (
            {"apex": False},
            {},
            "gradient_accumulation_fusion is not set, so that Megatron-Bridge turns it on, and NVIDIA Apex's kernels "
            "can't be imported (PyPI's apex is another project); set it to false, or build Apex from source.",
        ),
        (
            {"flash_attn": False},
            {},
            "attention_backend is 'flash', and flash-attn is not installed, without which Transformer Engine has no "
            "attention left; set it to fused, or install flash-attn.",
        ),
        (
            {"flash_attn": False},
            {"strategy": "fsdp2"},
            "attn_implementation is 'flash_attention_2', and flash-attn is not installed; add ++"
            "actor_rollout_ref.model.override_config.attn_implementation=sdpa, or install flash-attn.",
        ),
        (
            {},
            {"attention": "local"},
            "attention_backend is 'local', with which megatron-core turns all of Transformer Engine's attention off, "
            "and Megatron-Bridge's layers have no other; set it to fused.",
        ),
        (
            {},
            {"attention": "unfused", "cp": 2},
            "attention_backend is 'unfused', which has no context parallelism, and actor_rollout_ref.actor.megatron."
            "context_parallel_size is 2; set it to fused.",
        ),
        (
            {},
            {"attention": "flesh"},
            "attention_backend is 'flesh'; choose one of flash, fused, unfused, local, auto.",
        ),
        (
            {},
            {**FP8, "fp8_recipe": "delayed", "recompute": "selective", "recompute_modules": ("layernorm",)},
            "recompute_modules has 'layernorm', which actor_rollout_ref.actor.megatron.override_transformer_config."
            "fp8_recipe=delayed excludes; leave it out.",
        ),
    ],
)
def test_sentences_of_the_machine(machine, changes, sentence):
    found = find_violations(Settings(**changes), find_architecture("Qwen3-8B"), replace(GOOD_MACHINE, **machine))
    assert [violation.sentence.rpartition(f"{violation.about} ")[2] for violation in found] == [
        sentence.partition(" ")[2]
    ]


@pytest.mark.parametrize(
    ("machine", "changes"),
    [
        ({"apex": False}, {"accumulation_fusion": False}),
        ({"flash_attn": False}, {"attention": "fused"}),
        # Without Transformer Engine the bridge leaves fusion off; and these two are not Megatron on GPUs.
        ({"transformer_engine": False, "apex": False, "flash_attn": False}, {"device": "cpu"}),
        ({"transformer_engine": False, "apex": False, "flash_attn": False}, {"strategy": "fsdp2", **SDPA}),
    ],
)
def test_kernels_that_are_not_used_may_be_missing(machine, changes):
    kernels = [KEYS[name] for name in ("strategy", "accumulation_fusion", "attention", "attn_implementation")]
    found = find_violations(Settings(**changes), find_architecture("Qwen3-8B"), replace(GOOD_MACHINE, **machine))
    assert [violation.sentence for violation in found if violation.about in kernels] == []


def test_what_is_unknown_is_not_judged():
    assert find_violations(Settings(**FP8, accumulation_fusion=True, cp=2), find_architecture("Qwen3-8B")) == []


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_shards_of_fp8_have_sizes_that_its_matrices_take(recipe):
    # 29568 / 8 = 3696 = 16 x 231, and 29568 / 16 = 1848 is no multiple of 16.
    model = replace(find_architecture("Qwen2.5-72B-Instruct"), groups=16)
    machine = Machine(capability=(10, 0))
    assert not find_violations(Settings(tp=8, **{**FP8, "fp8_recipe": recipe}), model, machine)
    found = find_violations(Settings(tp=16, nodes=2, **{**FP8, "fp8_recipe": recipe}), model, machine)
    assert [violation.sentence for violation in found] == [
        f"{KEYS['tp']} is 16, with which a rank has 1848 columns of the feed-forward layer, and FP8 needs multiples of "
        "16; near it are 2, 4, 8."
    ]


def test_fp8_in_the_rollout_needs_whole_blocks_of_the_feed_forward_layer():
    # 29568 = 231 x 128, and 231 is odd.
    model = find_architecture("Qwen2.5-72B-Instruct")
    sizes = Settings(rollout_tp=8, rollout_quantization="fp8", tp=8)
    found = find_violations(sizes, model, GOOD_MACHINE)
    assert [violation.about for violation in found] == [KEYS["rollout_tp"]]
    assert "29568 columns within a block of 128" in found[0].sentence and found[0].sentence.endswith("near it are 1.")
    assert not find_violations(replace(sizes, rollout_quantization=None), model, GOOD_MACHINE)


def test_the_sentence_names_the_nearest_values_that_all_rules_allow():
    found = find_violations(Settings(tp=8), find_architecture("Qwen2.5-7B-Instruct"))
    assert found[0].sentence.endswith("the model's 28 attention heads; near it are 1, 2, 4.")
    assert (
        len(find_violations(Settings(tp=8, rollout_tp=8, utilization=2), find_architecture("Qwen2.5-7B-Instruct"))) == 3
    )


def test_without_a_model_only_what_needs_none_is_checked():
    assert find_violations(Settings(tp=8, pp=1), None) == []
    assert [found.about for found in find_violations(Settings(tp=3), None)] == [KEYS["tp"]]


def test_the_data_parallel_engine_has_its_own_size():
    sizes = Settings(strategy="fsdp2", ulysses=3)
    assert [found.about for found in find_violations(sizes, find_architecture("Qwen3-8B"))] == 2 * [KEYS["ulysses"]]
    assert find_violations(replace(sizes, ulysses=2), find_architecture("Qwen3-8B")) == []


def test_uneven_stages_name_what_would_do():
    model = find_architecture("Qwen2.5-7B-Instruct")
    found = find_violations(Settings(pp=4, first_layers=5, gpus_per_node=4), model)
    assert found[0].sentence.endswith(
        "is 5, which leaves the 4 stages no even share of 28 layers; near it are 1, 4, 7."
    )
    found = find_violations(Settings(pp=4, first_layers=6, last_layers=7, gpus_per_node=4), model)
    assert found[0].sentence.endswith("near it are 4, 6, 8.")
