"""Why config/engine_on/gpu_megatron.yaml sets gradient_accumulation_fusion: Transformer Engine, but no Apex."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.gpu_stack.conftest import require
from tests.rehearse.models import model_of
from verl_medu1.config.compose import compose_config, settings_in
from verl_medu1.plan.settings import TRANSFORMER

# The first test imports Transformer Engine and Megatron-Bridge.
pytestmark = [pytest.mark.gpu_stack, pytest.mark.timeout(600)]

# Its output layer is not tied to the embedding: a tied one is moved to the GPU as soon as it is made.
RECIPE = "qwen2.5-7b-1x8h100-tp2-pp1"
KEY = f"{TRANSFORMER}.gradient_accumulation_fusion"


@pytest.fixture(autouse=True)
def transformer_engine_without_apex(packages_of_gpus):
    require("transformer-engine-torch", "Transformer Engine's part for torch")
    if find_spec("fused_weight_gradient_mlp_cuda"):
        pytest.skip("NVIDIA's Apex is installed, and these tests are about its absence")
    # If it is installed and can't be imported, the tests fail here: Megatron-Bridge would take it for missing.
    import transformer_engine.pytorch  # noqa: F401


@contextmanager
def provider_of(folder: Path, *overrides: str) -> Iterator[Any]:
    """Megatron-Bridge's provider of the recipe, as rank 0's engine configures it."""
    from verl_medu1.rehearse.engine import engine_of
    from verl_medu1.rehearse.world import rank_of_world

    config = compose_config([f"recipe={RECIPE}", *overrides])
    _, folder = model_of(str(config.actor_rollout_ref.model.path), folder)
    with rank_of_world(0, settings_in(config).gpus):
        engine, _ = engine_of(config, folder)
        engine._build_tf_config()
        yield engine.provider


def make_output_layer(provider: Any) -> Any:
    """What megatron-core's model makes after the last layer; embeddings and layers, which need a GPU, are left out."""
    import torch
    from megatron.core.models.gpt import GPTModel
    from megatron.core.transformer.transformer_block import TransformerBlockSubmodules

    # Weights are made without memory, and not filled.
    provider.use_cpu_initialization, provider.perform_initialization = True, False
    with torch.device("meta"):
        model = GPTModel(
            provider,
            transformer_layer_spec=TransformerBlockSubmodules(layer_specs=[]),
            vocab_size=provider.vocab_size,
            max_sequence_length=provider.seq_length,
            pre_process=False,
        )
    return model.output_layer


def test_as_configured(tmp_path):
    with provider_of(tmp_path) as provider:
        assert provider.gradient_accumulation_fusion is False
        assert make_output_layer(provider).weight.shape == (provider.vocab_size // 2, provider.hidden_size)


@pytest.mark.parametrize("override", [f"{KEY}=true", f"~{KEY}"], ids=["true", "without the key, Bridge's default"])
def test_with_the_fusion(override, tmp_path):
    with provider_of(tmp_path, override) as provider:
        assert provider.gradient_accumulation_fusion is True
        with pytest.raises(RuntimeError, match="fused_weight_gradient_mlp_cuda module is not found"):
            make_output_layer(provider)
