"""LoRA's adapters against peft's, its bytes by hand, and one sentence for each wrong setting."""

from dataclasses import replace

import pytest

from verl_medu1.machine.gpus import find_gpu
from verl_medu1.plan.activations import layer_bytes, peaks
from verl_medu1.plan.adapters import layer_adapters, targets
from verl_medu1.plan.architecture import NotPlanned, find_architecture, hugging_face_config
from verl_medu1.plan.communication import communication_of
from verl_medu1.plan.memory import gather_bytes, gradient_bytes, optimizer_bytes, weight_bytes
from verl_medu1.plan.parameters import Parts, rank_parameters, total_parameters
from verl_medu1.plan.rollout import rollout_weights
from verl_medu1.plan.rules.layout import find_violations
from verl_medu1.plan.settings import Settings
from verl_medu1.plan.verdict import plan_of

SEVEN = find_architecture("Qwen2.5-7B-Instruct")  # h 3584, 28 heads of 128, 4 groups, f 18944
L40S = find_gpu("l40s-48")
LORA = {"lora_rank": 16, "lora_merge": True}
FSDP2 = {"strategy": "fsdp2", "peft_rank": 16}


@pytest.mark.parametrize(
    ("name", "modules"),
    [
        ("Qwen2.5-7B-Instruct", "all-linear"),
        ("Qwen2.5-3B-Instruct", ["q_proj", "v_proj"]),  # tied embeddings
        ("Qwen3-8B", ["o_proj", "gate_proj", "up_proj", "down_proj"]),
        ("Llama-3.1-70B-Instruct", "all-linear"),
        ("microsoft/Phi-4-mini-instruct", "all-linear"),
    ],
)
def test_adapters_are_those_that_peft_makes(name, modules):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = replace(find_architecture(name), layers=2)
    with torch.device("meta"):
        whole = AutoModelForCausalLM.from_config(hugging_face_config(model))
        made = get_peft_model(whole, LoraConfig(task_type="CAUSAL_LM", r=16, target_modules=modules))
    trained = sum(parameter.numel() for parameter in made.parameters() if parameter.requires_grad)
    assert 2 * layer_adapters(model, Settings(strategy="fsdp2", peft_rank=16, peft_targets=modules)) == trained


def test_adapters_of_bridge_by_hand():
    sides = (3584 + 4608) + (3584 + 3584) + (3584 + 37888) + (18944 + 3584)
    assert layer_adapters(SEVEN, Settings(**LORA)) == 16 * sides
    assert layer_adapters(SEVEN, Settings(**LORA), tp=4) == 4 * sides
    one = Settings(**LORA, lora_targets=["linear_fc2"])
    assert (layer_adapters(SEVEN, one), targets(SEVEN, one)) == (16 * 22528, ["linear_fc2"])
    # Each engine reads its own keys.
    assert layer_adapters(SEVEN, Settings(**LORA, strategy="fsdp2")) == 0
    assert layer_adapters(SEVEN, Settings(peft_rank=16)) == 0


def test_frozen_weights_have_neither_gradients_nor_optimizer_states():
    settings = Settings(**LORA, tp=2)
    [parts] = rank_parameters(SEVEN, 2, [28], adapters=layer_adapters(SEVEN, settings, 2))
    assert (parts.total, parts.trained) == (3_807_910_400 + 17_776_640, 17_776_640)
    assert weight_bytes(parts, settings) == 2 * parts.total
    assert gradient_bytes(parts.trained, settings) == 4 * 17_776_640
    full = optimizer_bytes(rank_parameters(SEVEN, 2, [28])[0].trained, settings)
    assert optimizer_bytes(parts.trained, settings) == 12 * 17_776_640 / 4 < 0.15 * full


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # Without fused kernels: norms' inputs 2 h, qkv 36 x 128, query and key 32 x 128, sines and cosines 4 x 128,
        # output 28 x 128, sums 28 x 4, MLP 4 f. Frozen matrices keep no input; adapters keep h of qkv and of fc1, f of
        # fc2, and four times r.
        ({}, 14_336 + 9_216 + 8_192 + 1_024 + 7_168 + 112 + 151_552 + 2 * 7_168 + 37_888 + 4 * 32),
        ({"lora_targets": ["linear_proj"]}, 14_336 + 9_216 + 8_192 + 1_024 + 7_168 + 112 + 151_552 + 32),
        # An adapter gathers its input: of all tokens, like what lies between A and B.
        (
            {"tp": 2, "lora_targets": ["linear_qkv"]},
            7_168 + (9_216 + 8_192 + 7_168 + 112 + 151_552) / 2 + 1_024 + 7_168 + 32,
        ),
    ],
)
def test_bytes_of_a_layer(settings, expected):
    assert layer_bytes(SEVEN, Settings(**LORA, **settings)) == expected


def test_a_frozen_output_layer_keeps_no_input():
    full = {"recompute": "full", "recompute_method": "uniform", "recompute_layers": 1}
    [with_lora] = peaks(SEVEN, Settings(**LORA, **full, tp=2), [28])
    [without] = peaks(SEVEN, Settings(**full, tp=2), [28])
    assert without.kept - with_lora.kept == 16384 * 3584  # the final norm's output, half of it on each rank
    assert (with_lora.gathered, without.gathered) == (0, 16384 * 3584 * 2)


def test_merged_weights_go_to_vllm_or_adapters_besides():
    merged, apart = Settings(**LORA), Settings(lora_rank=16)
    assert rollout_weights(SEVEN, merged) == 2 * total_parameters(SEVEN)
    assert rollout_weights(SEVEN, apart) - rollout_weights(SEVEN, merged) == 2 * 28 * layer_adapters(SEVEN, merged)
    # Gate and up as they are, and in float32 gate, what the adapter adds to it, and the sum.
    wide = replace(SEVEN, ffn=10 * SEVEN.ffn)
    assert gather_bytes(wide, merged) - 2**31 == (2 * 2 + 3 * 4) * 3584 * 10 * SEVEN.ffn
    assert gather_bytes(SEVEN, merged) == gather_bytes(SEVEN, Settings())  # the embedding is larger


def test_communication():
    settings = Settings(tp=2, train_batch=64, mini_batch=32, n=8, prompt=1024, response=1024, bypass=True)
    full, lora = (
        communication_of(SEVEN, found, Parts(1000, 0, 0, 0, adapters=adapters), 28)
        for found, adapters in ((settings, 0), (replace(settings, **LORA), 100))
    )
    assert lora.tensor / full.tensor == 16 / 10
    assert lora.data / full.data == 1 / 10


def test_the_actor_without_adapters_is_the_reference():
    assert Settings(kl_loss=True).has_reference
    lora = Settings(kl_loss=True, **LORA)
    assert (lora.has_reference, lora.needs_reference) == (False, True)


@pytest.mark.parametrize(
    ("settings", "sentences"),
    [
        ({"lora_rank": -1}, ["model.lora.rank is -1; give a whole number of at least 1, or 0 to train all weights."]),
        ({"lora_rank": 8, "lora_alpha": 0}, ["model.lora.alpha is 0, with which an adapter adds nothing"]),
        ({"lora_rank": 1024}, ["model.lora.rank is 1024, and vLLM takes adapters of a rank up to 512; lower it, or"]),
        (
            {"lora_rank": 3584, "lora_merge": True},
            ["model.lora.rank is 3584, and a target module has only 3584 inputs or outputs; lower it"],
        ),
        (
            {**LORA, "lora_targets": ["q_proj", "v_proj"]},
            ["lora.target_modules has q_proj, v_proj (those are names of FSDP2), which no module of the model is"],
        ),
        (
            {**LORA, "lora_targets": ["linear_qvk"]},
            ["lora.target_modules has linear_qvk, which no module of the model"],
        ),
        (
            {"lora_rank": 6, "tp": 4},
            ["model.lora.rank is 6, which actor_rollout_ref.actor.megatron.tensor_model_parallel_size (4) does not"],
        ),
        ({"lora_rank": 6, "tp": 4, "lora_targets": ["linear_proj"]}, []),
        ({**LORA, "lora_type": "canonical_lora", "lora_targets": ["linear_q", "linear_fc1_up"]}, []),
        ({**LORA, "lora_targets": ["*.layers.0.*.linear_qkv"]}, []),
        ({**LORA, "lora_type": "qlora"}, ["model.lora.type is 'qlora'; choose one of lora, vlm_lora, canonical_lora"]),
        (
            {**FSDP2, "peft_targets": ["linear_qkv"]},
            ["model.target_modules has linear_qkv, which no module of the model is called; choose from q_proj"],
        ),
        ({**FSDP2, "peft_targets": "all-lineer"}, []),  # a pattern of peft's, for all we know
        ({**FSDP2, "peft_rank": 512}, ["model.lora_rank is 512, and a target module has only 512 inputs or outputs"]),
        ({**FSDP2, "peft_alpha": -1}, ["model.lora_alpha is -1, with which an adapter adds nothing"]),
        (
            {"peft_rank": 8},
            ["model.lora_rank is 8, which Megatron does not read; set actor_rollout_ref.model.lora.rank"],
        ),
        (
            {**FSDP2, "lora_rank": 8},
            ["model.lora.rank is 8, which FSDP2 does not read; set actor_rollout_ref.model.lora_"],
        ),
        (
            {**FSDP2, "tp": 2},
            ["tensor_model_parallel_size is 2, which FSDP2 does not read; leave it out, or set model_"],
        ),
        (
            {"fsdp_size": 4},
            ["fsdp_config.fsdp_size is 4, which Megatron does not read; leave it out, or set model_engine"],
        ),
        ({**FSDP2, "lora_merge": True}, []),  # both read it
    ],
)
def test_each_violation_has_its_sentence(settings, sentences):
    found = [problem.sentence for problem in find_violations(Settings(**settings), SEVEN)]
    assert len(found) == len(sentences)
    for sentence, part in zip(found, sentences, strict=True):
        assert part in sentence


def test_fp8_beside_adapters_is_refused():
    settings = Settings(**LORA, fp8="hybrid", fp8_recipe="tensorwise")
    [problem] = find_violations(settings, SEVEN)
    assert problem.sentence.startswith(
        "actor_rollout_ref.actor.megatron.override_transformer_config.fp8 is 'hybrid' with "
        "actor_rollout_ref.model.lora.rank=16"
    )


def test_a_7b_with_lora_fits_on_one_card_of_48_gb():
    one = Settings(
        gpus_per_node=1, token_limit=6144, prompt=2048, utilization=0.8, **LORA,
        recompute="full", recompute_method="uniform", recompute_layers=1,
    )  # fmt: skip
    assert plan_of(SEVEN, L40S, one).problems == []
    assert any("training needs" in problem for problem in plan_of(SEVEN, L40S, replace(one, lora_rank=0)).problems)


@pytest.mark.parametrize("settings", [{**LORA, "lora_type": "dora"}, {**FSDP2, "peft_targets": ".*q_proj"}])
def test_what_is_not_counted_is_not_planned(settings):
    with pytest.raises(NotPlanned, match="planned"):
        plan_of(SEVEN, L40S, Settings(**settings))
