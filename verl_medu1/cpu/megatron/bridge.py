"""mbridge 0.15.1 on megatron-core's local layer spec; mbridge hard-codes the Transformer Engine spec."""

from typing import Any

from mbridge.core.bridge import _MODEL_REGISTRY
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_decoder_block_spec

MODEL_TYPES = ("qwen2", "qwen3", "llama")

# Turns off fused kernels and device-side initialisation that exist only on CUDA.
NO_CUDA_KERNELS = {
    "use_cpu_initialization": True,
    "gradient_accumulation_fusion": False,
    "masked_softmax_fusion": False,
    "bias_activation_fusion": False,
    "bias_dropout_fusion": False,
    "apply_rope_fusion": False,
    "persist_layer_norm": False,
}


def _on_local_spec(base: Any) -> Any:
    class LocalBridge(base):
        # Transformer Engine fuses the norm into the linear layer after it; the local spec keeps it separate.
        _OTHER_MAPPING = {"input_layernorm.weight": ["model.layers.{layer_number}.input_layernorm.weight"]}
        _MLP_MAPPING = {
            **base._MLP_MAPPING,
            "pre_mlp_layernorm.weight": ["model.layers.{layer_number}.post_attention_layernorm.weight"],
        }
        _DIRECT_MAPPING = dict(base._DIRECT_MAPPING)  # a copy: the parent changes its own when embeddings are tied

        def __init__(self, hf_config: Any, dtype: Any, **kwargs: Any) -> None:
            if not hasattr(hf_config, "rope_theta"):  # transformers 5 moved it; mbridge reads the old attribute
                hf_config.rope_theta = hf_config.rope_parameters["rope_theta"]
            super().__init__(hf_config, dtype=dtype, **kwargs)
            self.set_extra_args()

        def set_extra_args(self, **kwargs: Any) -> None:
            kwargs.pop("attention_backend", None)  # verl's default "flash" needs a GPU
            super().set_extra_args(**{**kwargs, **NO_CUDA_KERNELS})

        # Qwen2Bridge has both of these methods; LLaMABridge lacks tied embeddings, which SmolLM2 has.
        def _adjust_mapping_for_shared_weights(self) -> None:
            if getattr(self.hf_config, "tie_word_embeddings", False):
                self._DIRECT_MAPPING["output_layer.weight"] = "model.embed_tokens.weight"

        def _get_hf_shared_weight_keys(self) -> list[str]:
            return ["model.embed_tokens.weight"] if getattr(self.hf_config, "tie_word_embeddings", False) else []

        # LLaMABridge treats every rotary scaling as linear; Megatron's own scaling is Llama 3's with these constants.
        def _get_gptmodel_args(self) -> dict[str, Any]:
            arguments = super()._get_gptmodel_args()
            rope = getattr(self.hf_config, "rope_parameters", None) or {}
            if rope.get("rope_type") == "llama3":
                numbers = ("low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
                assert [rope[name] for name in numbers] == [1, 4, 8192], f"rotary scaling of another kind: {rope}"
                arguments.pop("seq_len_interpolation_factor", None)
                arguments.update(rope_scaling=True, rope_scaling_factor=rope["factor"])
            return arguments

        def _get_transformer_layer_spec(self, vp_stage: int | None = None) -> Any:
            self.has_vp_stage = True
            return get_gpt_decoder_block_spec(
                self.config, use_transformer_engine=False, normalization="RMSNorm", vp_stage=vp_stage
            )

    LocalBridge.__name__ = f"Local{base.__name__}"
    return LocalBridge


def install() -> None:
    """Replace the bridges of the supported model types, once."""
    for model_type in MODEL_TYPES:
        bridge = _MODEL_REGISTRY[model_type]
        if not bridge.__name__.startswith("Local"):
            _MODEL_REGISTRY[model_type] = _on_local_spec(bridge)
