"""Dimensions in the kinds of config.json; what is not planned says why, and what is broken is one sentence."""

import contextlib
import io
import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from verl_medu1.cli.plan import plan
from verl_medu1.machine.gpus import find_gpu
from verl_medu1.plan.architecture import (
    BIASES,
    EXPERTS,
    MODEL_TYPES,
    NotPlanned,
    architecture_of,
    find_architecture,
    hugging_face_config,
    listed_models,
)
from verl_medu1.plan.parameters import total_parameters
from verl_medu1.plan.rules.layout import find_violations
from verl_medu1.plan.rules.sizes import divisors
from verl_medu1.plan.search import search
from verl_medu1.plan.settings import KEYS, Settings
from verl_medu1.plan.verdict import plan_of

DENSE = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "vocab_size": 128,
    "max_position_embeddings": 8192,
}
QWEN3_MOE = DENSE | {
    "model_type": "qwen3_moe",
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "norm_topk_prob": True,
    "intermediate_size": 97,
}
# As google/gemma-3-4b-it has it: the rest are defaults of transformers.
GEMMA3_4B = {
    "model_type": "gemma3",
    "text_config": {"hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text"},
    "vision_config": {"hidden_size": 1152, "num_attention_heads": 16},
}
UNPLANNED = {
    "some layers with experts": (QWEN3_MOE | {"decoder_sparse_step": 2}, "Megatron-Bridge gives every layer experts"),
    "experts of Mistral": (DENSE | {"model_type": "mixtral", "num_local_experts": 8}, "qwen3_moe alone is planned"),
    "experts of DeepSeek": (
        DENSE | {"model_type": "deepseek_v3", "n_routed_experts": 256},
        "qwen3_moe alone is planned",
    ),
    "experts of Llama": (DENSE | {"num_experts": 8}, "qwen3_moe alone is planned"),
    "text part": ({"model_type": "llava", "text_config": DENSE}, "has model_type 'llava'; planned are llama, mistral"),
    "another type": (DENSE | {"model_type": "gemma3_text"}, "has model_type 'gemma3_text'; planned are"),
    "biases": (DENSE | {"attention_bias": True, "mlp_bias": True}, "has attention_bias and mlp_bias in its config"),
}
H100 = find_gpu("h100-80")


@pytest.mark.parametrize("name", listed_models())
def test_transformers_counts_as_many_parameters(name):
    """With two layers, on torch's meta device; tests/plan/test_parameters.py has the whole models' totals."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    model = replace(find_architecture(name), layers=2)
    config = hugging_face_config(model, pad_token_id=None)
    with torch.device("meta"):
        made = (AutoModelForImageTextToText if model.vision else AutoModelForCausalLM).from_config(config)
    assert sum(parameter.numel() for parameter in made.parameters()) == total_parameters(model)


def test_each_planned_type_is_counted():
    assert {find_architecture(name).model_type for name in listed_models()} == set(MODEL_TYPES)


@pytest.mark.parametrize("kind", sorted(UNPLANNED))
def test_what_is_not_planned_says_why_and_keeps_its_dimensions(kind):
    config, why = UNPLANNED[kind]
    model = architecture_of("x", config)
    assert (model.hidden, model.heads, model.groups) == (64, 4, 2)
    for ask in (plan_of, search):
        with pytest.raises(NotPlanned, match=why):
            ask(model, H100, Settings())


def test_dimensions_that_are_nowhere_are_not_planned():
    with pytest.raises(NotPlanned, match=r"'gemma3'; planned are .* It lacks 'num_attention_heads' in the text_config"):
        architecture_of("x", GEMMA3_4B)
    with pytest.raises(NotPlanned, match=r"'gpt2'; planned are .* It lacks 'num_attention_heads' in its config"):
        architecture_of("x", {"model_type": "gpt2", "n_head": 12, "n_embd": 768})


@pytest.mark.parametrize(
    ("config", "tp", "key"),
    [
        (QWEN3_MOE, 2, None),  # 97 columns that no layer has
        (QWEN3_MOE, 3, "tp"),
        (DENSE | {"model_type": "gemma3_text"}, 8, "tp"),
    ],
)
def test_the_layout_is_judged_by_what_is_known(config, tp, key):
    found = find_violations(
        Settings(tp=tp, gpus_per_node=24, mini_batch=24, train_batch=48), architecture_of("x", config)
    )
    assert {violation.about for violation in found} == ({KEYS[key]} if key else set())


def test_ten_key_value_heads_refuse_four_ranks():
    (found,) = find_violations(Settings(tp=4), find_architecture("microsoft/phi-4"))
    assert "is 4, neither a divisor nor a multiple of the model's 10 key-value heads; near it are" in found.sentence


def test_a_small_tied_model_is_planned():
    model = find_architecture("meta-llama/Llama-3.2-1B")
    assert (model.tied, model.head_dim) == (True, 64)
    assert plan_of(model, H100, Settings()).problems == []


def test_a_name_of_the_hub_is_not_planned_and_a_path_is_refused(tmp_path):
    for name in ("google/medgemma-27b-text-it", "somebody/my-own-model"):
        with pytest.raises(NotPlanned, match="is not a folder here, and not listed in"):
            find_architecture(name)
    (tmp_path / "empty").mkdir()
    for name in ("./nowhere", "~nobody-of-this-name/model", "a/b/c", "nowhere", str(tmp_path / "empty"), "x" * 5000):
        with pytest.raises(ValueError, match=r"is not a folder with a config\.json") as refused:
            find_architecture(name)
        assert not isinstance(refused.value, NotPlanned)


@pytest.mark.parametrize(
    "content", [b"{", b"\xff\xfe{\x00}", b"[" * 200_000, b'{"hidden_size": ' + b"9" * 5000 + b"}", b"3"]
)
def test_a_broken_file_is_one_sentence(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"has a config\.json that is no") as refused:
        find_architecture(str(tmp_path))
    assert not isinstance(refused.value, NotPlanned) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model_type": None}, "has model_type None in its config.json; it must be a name."),
        ({"hidden_size": True}, "has hidden_size True in its config.json; it must be a whole number from 1 to"),
        ({"hidden_size": 10**12}, "has hidden_size 1000000000000 in its config.json; it must be a whole number"),
        ({"hidden_size": 66}, "has hidden_size 66 in its config.json; it must be a multiple of num_attention_heads"),
        ({"num_key_value_heads": 3}, "has num_key_value_heads 3 in its config.json; it must be a divisor of"),
        ({"tie_word_embeddings": "no"}, "has tie_word_embeddings 'no' in its config.json; it must be true or false."),
    ],
)
def test_an_impossible_value_of_a_planned_type_is_refused(changes, sentence):
    with pytest.raises(ValueError) as refused:
        architecture_of("x", DENSE | changes)
    assert sentence in str(refused.value) and not isinstance(refused.value, NotPlanned)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(MODEL_TYPES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
NAMES = (*DENSE, *EXPERTS, *BIASES, "head_dim", "tie_word_embeddings", "text_config")


@st.composite
def configs(draw):
    """A whole config.json, of which some keys are gone and some have other values; or nested; or anything."""
    changes = draw(st.dictionaries(st.sampled_from(NAMES), JSON | st.integers(1, 4096), max_size=4))
    gone = draw(st.sets(st.sampled_from(NAMES), max_size=2))
    config = {key: value for key, value in (DENSE | changes).items() if key not in gone}
    nested = {"model_type": draw(JSON), "text_config": config}
    return draw(st.sampled_from([config, config, nested]) | JSON)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=configs())
def test_any_config_ends_in_a_plan_or_in_one_sentence(tmp_path, config):
    (tmp_path / "config.json").write_text(json.dumps(config))
    shown = io.StringIO()
    try:
        with contextlib.redirect_stdout(shown):
            plan([], str(tmp_path), "h100-80", 8, None, None, None, None, False, False, None)
    except ValueError as error:
        # Rules of the layout have a sentence each.
        for sentence in str(error).split("\nmedu1: "):
            assert "\n" not in sentence and sentence.endswith(".")
    else:
        assert "Verdict: " in shown.getvalue()


@given(st.integers(1, 5000))
def test_divisors(number):
    assert divisors(number) == [size for size in range(1, number + 1) if number % size == 0]
