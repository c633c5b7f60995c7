"""Parameters: published totals, and the ranks of real megatron-core models."""

import doctest
import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import verl_medu1.plan
from verl_medu1.plan.architecture import architecture_of, find_architecture, listed_models
from verl_medu1.plan.expert_layers import router_weights
from verl_medu1.plan.parameters import rank_parameters, stage_layers, total_parameters

ROOT = Path(__file__).resolve().parents[2]
# The sum of the shapes in the models' safetensors files on the hub, a tied output layer counted once.
PUBLISHED = {
    "Qwen/Qwen2.5-0.5B": 494_032_768,
    "Qwen/Qwen2.5-1.5B": 1_543_714_304,
    "Qwen/Qwen2.5-3B": 3_085_938_688,
    "Qwen/Qwen2.5-7B": 7_615_616_512,
    "Qwen/Qwen2.5-14B": 14_770_033_664,
    "Qwen/Qwen2.5-32B": 32_763_876_352,
    "Qwen/Qwen2.5-72B": 72_706_203_648,
    "Qwen/Qwen3-0.6B": 596_049_920,
    "Qwen/Qwen3-1.7B": 1_720_574_976,
    "Qwen/Qwen3-4B": 4_022_468_096,
    "Qwen/Qwen3-4B-Instruct-2507": 4_022_468_096,
    "Qwen/Qwen3-4B-Thinking-2507": 4_022_468_096,
    "Qwen/Qwen3-8B": 8_190_735_360,
    "Qwen/Qwen3-14B": 14_768_307_200,
    "Qwen/Qwen3-32B": 32_762_123_264,
    "Qwen/Qwen3-30B-A3B": 30_532_122_624,
    "Qwen/Qwen3-30B-A3B-Instruct-2507": 30_532_122_624,
    "Qwen/Qwen3-30B-A3B-Thinking-2507": 30_532_122_624,
    "Qwen/Qwen3-235B-A22B": 235_093_634_560,
    "Qwen/Qwen2.5-VL-3B-Instruct": 3_754_622_976,
    "Qwen/Qwen2.5-VL-7B-Instruct": 8_292_166_656,
    "Qwen/Qwen3-VL-8B-Instruct": 8_767_123_696,
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": 1_777_088_000,
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B": 7_615_616_512,
    "deepseek-ai/DeepSeek-R1-Distill-Llama-8B": 8_030_261_248,
    "deepseek-ai/DeepSeek-R1-Distill-Llama-70B": 70_553_706_496,
    "meta-llama/Meta-Llama-3-8B": 8_030_261_248,
    "meta-llama/Llama-3.1-8B": 8_030_261_248,
    "meta-llama/Llama-3.1-70B": 70_553_706_496,
    "meta-llama/Llama-3.2-1B": 1_235_814_400,
    "meta-llama/Llama-3.2-3B": 3_212_749_824,
    "meta-llama/Llama-3.3-70B-Instruct": 70_553_706_496,
    "microsoft/phi-4": 14_659_507_200,
    "microsoft/Phi-4-reasoning": 14_659_507_200,
    "microsoft/Phi-4-mini-instruct": 3_836_021_760,
    "mistralai/Mistral-7B-v0.3": 7_248_023_552,
}
INSTRUCT = {"mistralai/Mistral-7B-v0.3": "mistralai/Mistral-7B-Instruct-v0.3"}


def published(name: str) -> int:
    """The total of a model; one that is tuned has that of the model that it is made from."""
    base = {tuned: base for base, tuned in INSTRUCT.items()}.get(name, name)
    return PUBLISHED.get(base) or PUBLISHED[base.removesuffix("-Instruct")]


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(verl_medu1.plan.__path__)])
def test_examples_in_docstrings(name):
    assert doctest.testmod(importlib.import_module(f"verl_medu1.plan.{name}")).failed == 0


def test_totals_are_the_published_ones():
    totals = {name: total_parameters(find_architecture(name)) for name in listed_models()}
    assert totals == {name: published(name) for name in listed_models()} and totals.keys() >= PUBLISHED.keys()


@pytest.mark.parametrize("name", [name for name in listed_models() if not find_architecture(name).vision])
@pytest.mark.parametrize(("tp", "pp"), [(1, 2), (2, 4), (4, 1)])
def test_the_ranks_together_are_the_model_and_what_is_repeated(name, tp, pp):
    model = find_architecture(name)
    pp = pp if model.layers % pp == 0 else 2
    ranks = rank_parameters(model, tp, stage_layers(model.layers, pp), etp=tp)
    norms = model.layers * (2 * model.hidden + (2 * model.head_dim if model.qk_norm else 0)) + model.hidden
    norms += router_weights(model, model.layers)
    repeated = (tp - 1) * norms
    if model.tied and pp > 1:
        repeated += model.vocabulary * model.hidden
    assert tp * sum(rank.total for rank in ranks) == total_parameters(model) + repeated


@pytest.mark.parametrize(
    ("split", "stages"),
    [
        ((28, 4, None, None), [7, 7, 7, 7]),
        ((28, 4, 6, 6), [6, 8, 8, 6]),
        ((80, 4, None, 17), [21, 21, 21, 17]),
        ((9, 2, 4, 5), [4, 5]),
        ((9, 2, 4, None), [4, 5]),
    ],
)
def test_layers_of_the_stages(split, stages):
    assert stage_layers(*split) == stages


@pytest.mark.parametrize(
    "split", [(28, 3, None, None), (28, 4, 7, 6), (9, 2, 4, 4), (9, 2, 9, None), (4, 8, None, None)]
)
def test_layers_that_do_not_divide(split):
    with pytest.raises(ValueError, match="don't divide"):
        stage_layers(*split)


@pytest.fixture(scope="module")
def both_ways() -> dict:
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "planner.py", "--json"],
        capture_output=True,
        text=True,
        timeout=115,
        check=True,
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_ranks_have_as_many_parameters_as_those_of_megatron_core(both_ways):
    assert len(both_ways["parameters"]) >= 15
    for topology, predicted, measured in both_ways["parameters"]:
        assert predicted == measured, topology


def test_layers_keep_as_many_bytes_as_those_of_megatron_core(both_ways):
    assert len(both_ways["kept"]) == 6
    for name, is_fused, predicted, measured in both_ways["kept"]:
        assert predicted == measured, (name, is_fused)


def test_a_folder_is_read_and_a_name_is_looked_up(tmp_path):
    config = {
        "model_type": "llama",
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 96,
        "vocab_size": 100,
        "max_position_embeddings": 128,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = find_architecture(str(tmp_path))
    assert (model.groups, model.head_dim, model.tied, model.qkv_bias) == (4, 16, False, False)
    assert find_architecture("Qwen3-8B") == find_architecture("Qwen/Qwen3-8B")


def test_a_model_that_can_not_be_read_has_its_sentence(tmp_path):
    with pytest.raises(
        ValueError, match=r"'nowhere' is not a folder with a config\.json, and not listed in .*; near it are .*/"
    ):
        find_architecture("nowhere")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json that is not valid JSON"):
        find_architecture(str(tmp_path))
    with pytest.raises(ValueError, match="lacks 'hidden_size'"):
        architecture_of("x", {"model_type": "llama", "num_attention_heads": 4})
