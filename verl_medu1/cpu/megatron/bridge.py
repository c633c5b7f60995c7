"""Megatron-Bridge 0.5.1 without Transformer Engine: its bridges on megatron-core's local layer spec."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from verl_medu1.verl_compat.import_hook import around_import

# Fused kernels and device-side initialisation, which exist only on CUDA.
NO_CUDA_KERNELS = {
    "use_cpu_initialization": True,
    "gradient_accumulation_fusion": False,
    "masked_softmax_fusion": False,
    "bias_activation_fusion": False,
    "bias_dropout_fusion": False,
    "apply_rope_fusion": False,
    "persist_layer_norm": False,
    "moe_grouped_gemm": False,
    "moe_permute_fusion": False,
}

# Transformer Engine fuses these norms into the linear layer after them; the local spec keeps them separate.
LOCAL_NORMS = {
    "decoder.layers.*.input_layernorm.weight": "model.layers.*.input_layernorm.weight",
    "decoder.layers.*.pre_mlp_layernorm.weight": "model.layers.*.post_attention_layernorm.weight",
}

# Modules of megatron-core that look for Transformer Engine when they are imported, and remember what they found.
_LOOK_FOR_TRANSFORMER_ENGINE = (
    "megatron.core.extensions.transformer_engine",
    "megatron.core.extensions.transformer_engine_spec_provider",
    "megatron.core.models.gpt.gpt_layer_specs",
    "megatron.core.optimizer",
    "megatron.core.distributed",
)


def _stand_in() -> dict[str, ModuleType]:
    """Return modules under the names of Transformer Engine's, in which each name is an empty class."""

    class Names(ModuleType):
        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (), {})

    modules: dict[str, ModuleType] = {}
    for name in ("transformer_engine", "transformer_engine.pytorch", "transformer_engine.pytorch.ops"):
        modules[name] = Names(name)
        modules[name].__spec__ = ModuleSpec(name, None, is_package=True)
        vars(modules[name])["__version__"] = "0"  # megatron/core/utils.py, get_te_version
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(modules[parent], child, modules[name])
    return modules


@contextmanager
def _import_without_transformer_engine(_module: ModuleType) -> Iterator[None]:
    """Works around megatron/bridge/peft/lora_layers.py and lora.py, which need Transformer Engine when imported.

    They define classes for adapters on Transformer Engine's layers. The stand-in is there only during the import, and
    only where Transformer Engine is not installed. Then peft/utils.py is told so: it concludes that Transformer Engine
    is there from megatron-core's classes, of which two are None (get_adapter_attributes_from_linear).
    """
    if find_spec("transformer_engine") is not None:
        yield
        return
    for name in _LOOK_FOR_TRANSFORMER_ENGINE:
        import_module(name)
    stand_in = _stand_in()
    sys.modules.update(stand_in)
    try:
        yield
    finally:
        for name in stand_in:
            del sys.modules[name]
    import_module("megatron.bridge.peft.utils").HAVE_TE = False  # type: ignore[attr-defined]


def _on_local_spec(base: Any) -> Any:
    from megatron.bridge.models.conversion.mapping_registry import MegatronMappingRegistry
    from megatron.bridge.models.conversion.param_mapping import AutoMapping
    from megatron.bridge.models.gpt_provider import local_layer_spec

    class LocalBridge(base):
        def provider_bridge(self, hf_pretrained: Any) -> Any:
            provider = super().provider_bridge(hf_pretrained)
            provider.transformer_layer_spec = local_layer_spec
            for name, value in NO_CUDA_KERNELS.items():
                setattr(provider, name, value)
            return provider

        def mapping_registry(self) -> Any:
            mappings = list(super().mapping_registry().mappings)
            known = {mapping.megatron_param for mapping in mappings}
            mappings += [
                AutoMapping(megatron_param=ours, hf_param=theirs)
                for ours, theirs in LOCAL_NORMS.items()
                if ours not in known
            ]
            return MegatronMappingRegistry(*mappings)

    LocalBridge.__name__ = f"Local{base.__name__}"
    return LocalBridge


def _register_local_bridges() -> None:
    from megatron.bridge.models.conversion.model_bridge import MegatronModelBridge
    from megatron.bridge.models.llama.llama_bridge import LlamaBridge
    from megatron.bridge.models.qwen.qwen2_bridge import Qwen2Bridge
    from megatron.bridge.models.qwen.qwen3_bridge import Qwen3Bridge
    from megatron.bridge.models.qwen.qwen3_moe_bridge import Qwen3MoEBridge
    from megatron.core.models.gpt.gpt_model import GPTModel
    from transformers import LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, Qwen3MoeForCausalLM

    for source, bridge in (
        (Qwen2ForCausalLM, Qwen2Bridge),
        (Qwen3ForCausalLM, Qwen3Bridge),
        (Qwen3MoeForCausalLM, Qwen3MoEBridge),
        (LlamaForCausalLM, LlamaBridge),
    ):
        MegatronModelBridge.register_bridge(source=source, target=GPTModel, model_type=bridge.MODEL_TYPE)(
            _on_local_spec(bridge)
        )


@contextmanager
def _bridge_on_cpu(module: ModuleType) -> Iterator[None]:
    with _import_without_transformer_engine(module):
        yield
    _register_local_bridges()


def install() -> None:
    """Prepare the bridges when Megatron-Bridge is imported."""
    around_import("megatron.bridge", _bridge_on_cpu)
