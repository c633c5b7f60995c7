"""Each GPU recipe's configuration to the last place where it can be read without a GPU: verl's dataclasses,
Megatron-Bridge's provider, megatron-core's optimizer and DDP; and its ranks' parameters through the same bridge."""

import importlib
import sys

import pytest

from tests.rehearse.models import gpu_recipes, model_of
from verl_medu1.config.compose import compose_config, settings_in
from verl_medu1.plan.adapters import layer_adapters
from verl_medu1.plan.architecture import find_architecture
from verl_medu1.plan.parameters import rank_parameters, stage_layers
from verl_medu1.plan.settings import TRANSFORMER

RECIPES = gpu_recipes()
# Keys of override_transformer_config whose value the provider does not have in the end, and why.
EXCEPTIONS: dict[str, str] = {}
# What Megatron-Bridge decides by whether Transformer Engine can be imported; our CPU layer switches it off.
BY_TRANSFORMER_ENGINE = "gradient_accumulation_fusion"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def provider_of(folders, monkeypatch):
    """Takes a composed recipe as far as verl's engine of rank 0 with its provider, as where Transformer Engine is."""
    import verl.workers.engine.megatron.transformer_impl  # noqa: F401  (installs the bridge of the CPU layer)

    importlib.import_module("megatron.bridge")  # before there is a stand-in, as in the other tests
    from verl_medu1.cpu.megatron import bridge
    from verl_medu1.rehearse.engine import engine_of
    from verl_medu1.rehearse.world import rank_of_world

    monkeypatch.delitem(bridge.NO_CUDA_KERNELS, BY_TRANSFORMER_ENGINE)
    for name, module in bridge._stand_in().items():
        monkeypatch.setitem(sys.modules, name, module)
    # It asks for a version of Transformer Engine, and the stand-in has none.
    monkeypatch.setattr("megatron.core.transformer.transformer_config.is_te_min_version", lambda version: True)

    def build(config):
        _, folder = model_of(str(config.actor_rollout_ref.model.path), folders)
        with rank_of_world(0, settings_in(config).gpus):
            engine, actor = engine_of(config, folder)
            engine._build_tf_config()
            return engine, actor

    return build


@pytest.mark.parametrize("precision", ["bf16", "fp8"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_each_key_arrives(recipe, precision, provider_of):
    import torch
    from megatron.core.distributed import DistributedDataParallelConfig
    from verl.utils.megatron.optimizer import init_megatron_optim_config

    config = compose_config([f"recipe={recipe}", f"precision={precision}"])
    settings, engine_config = settings_in(config), config.actor_rollout_ref.actor.megatron
    engine, actor = provider_of(config)
    provider = engine.provider

    wanted = {
        "tensor_model_parallel_size": settings.tp,
        "pipeline_model_parallel_size": settings.pp,
        "context_parallel_size": settings.cp,
        "virtual_pipeline_model_parallel_size": settings.vpp,
        "sequence_parallel": settings.tp > 1,
        "params_dtype": torch.bfloat16,
        "bf16": True,
        "variable_seq_lengths": True,
        # Without Apex megatron-core's output layer can't be made with it.
        "gradient_accumulation_fusion": False,
        **{key: value for key, value in engine_config.override_transformer_config.items() if key not in EXCEPTIONS},
    }
    assert provider.attention_backend.name == wanted.pop("attention_backend")
    assert {key: getattr(provider, key) for key in wanted} == wanted
    assert settings.pp == 1 or provider.pipeline_dtype == torch.bfloat16
    assert provider.fp8 == ("hybrid" if precision == "fp8" else None)

    model = find_architecture(str(config.actor_rollout_ref.model.path))
    sizes = {
        "num_layers": model.layers,
        "hidden_size": model.hidden,
        "ffn_hidden_size": model.ffn,
        "num_attention_heads": model.heads,
        "num_query_groups": model.groups,
        "kv_channels": model.head_dim,
        "vocab_size": model.vocabulary,
        "share_embeddings_and_output_weights": model.tied,
        "add_qkv_bias": model.qkv_bias,
        "qk_layernorm": model.qk_norm,
        "rotary_base": 500000 if model.model_type == "llama" else 1000000,
    }
    if model.experts:
        sizes |= {
            "num_moe_experts": model.experts.count,
            "moe_router_topk": model.experts.active,
            "moe_ffn_hidden_size": model.experts.ffn,
            "moe_router_pre_softmax": not model.experts.normalised,
            "expert_model_parallel_size": settings.ep,
            "expert_tensor_parallel_size": settings.expert_tp,
            "moe_token_dispatcher_type": "alltoall",
            "moe_router_load_balancing_type": "none",
            "moe_enable_routing_replay": settings.router_replay != "disabled",
        }
    assert {key: getattr(provider, key) for key in sizes} == sizes
    if model.model_type == "llama":
        assert (provider.rope_scaling, provider.rope_scaling_factor) == (True, 8.0)

    optimizer = init_megatron_optim_config(
        actor.optim, use_distributed_optimizer=actor.engine.use_distributed_optimizer, fp16=False, bf16=True
    )
    assert (optimizer.lr, optimizer.bf16, optimizer.use_distributed_optimizer) == (actor.optim.lr, True, True)
    assert optimizer.fp8_recipe == ("blockwise" if precision == "fp8" else None)
    reduced = DistributedDataParallelConfig(use_distributed_optimizer=True, **engine._resolve_override_ddp_config())
    assert reduced.grad_reduce_in_fp32 is True


def test_without_the_key_bridge_switches_the_fusion_on_that_needs_apex(provider_of):
    engine, _ = provider_of(compose_config([f"recipe={RECIPES[0]}", f"~{TRANSFORMER}.{BY_TRANSFORMER_ENGINE}"]))
    assert engine.provider.gradient_accumulation_fusion is True


@pytest.mark.parametrize("recipe", RECIPES)
def test_parameters_of_each_stage(recipe, folders):
    """Those of the first and the last tensor parallel rank are as planned."""
    import verl.workers.engine.megatron.transformer_impl  # noqa: F401

    from verl_medu1.rehearse.rehearsal import parameters_of

    config = compose_config([f"recipe={recipe}"])
    settings = settings_in(config)
    model, folder = model_of(str(config.actor_rollout_ref.model.path), folders)
    stages = stage_layers(model.layers, settings.pp, settings.first_layers, settings.last_layers)
    adapters = layer_adapters(model, settings, settings.tp)
    planned = rank_parameters(model, settings.tp, stages, settings.ep, settings.expert_tp, adapters)
    for stage in sorted({0, min(1, settings.pp - 1), settings.pp - 1}):
        for tensor_rank in sorted({0, settings.tp - 1}):
            rank = stage * settings.gpus // settings.pp + tensor_rank
            assert parameters_of(config, settings, model, folder, rank) == planned[stage].total
