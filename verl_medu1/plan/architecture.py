"""A model's dimensions, on which memory and layout depend."""

import difflib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from verl_medu1.plan.experts import Experts, experts_of
from verl_medu1.plan.vision import VISION_TYPES, Vision, vision_of

# Model types whose layers parameters.py describes: RMSNorm, rotary embedding, grouped-query attention, SwiGLU.
MODEL_TYPES = ("llama", "mistral", "phi3", "qwen2", "qwen3", "qwen3_moe", *VISION_TYPES)
WITH_EXPERTS = "qwen3_moe"
# Keys for the number of experts in a layer, which differ between model types.
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
BIASES = ("attention_bias", "mlp_bias")
LARGEST = 10**9
LIST = "verl_medu1/plan/architectures.yaml"


class NotPlanned(ValueError):
    """The model may train, but its memory can't be planned here; the message says why."""


@dataclass(frozen=True)
class Architecture:
    """Dimensions of a decoder-only model, in the terms of Hugging Face's config.json.

    Attributes:
        name: shown to the user.
        model_type: of the whole model, even if the dimensions are those of its text part.
        hidden: width of the residual stream.
        layers: transformer layers.
        heads: query heads.
        groups: key-value heads (query groups).
        head_dim: width of a head; heads * head_dim need not equal hidden.
        ffn: width of the SwiGLU layer; 0 if every layer has experts, or if they are of a type that is not planned.
        vocabulary: rows of the embedding.
        positions: longest sequence.
        tied: whether the output layer shares the embedding's weights.
        qkv_bias: whether query, key and value have a bias.
        qk_norm: whether query and key are normalised per head.
        unplanned: why memory can't be planned, None if it can; the rules for layouts apply in any case.
        experts: dimensions of the experts, None without, or if their model type is not planned.
        vision: dimensions of the part that sees images, None without, or if the model type is not planned.
    """

    name: str
    model_type: str
    hidden: int
    layers: int
    heads: int
    groups: int
    head_dim: int
    ffn: int
    vocabulary: int
    positions: int
    tied: bool
    qkv_bias: bool
    qk_norm: bool
    unplanned: str | None = None
    experts: Experts | None = None
    vision: Vision | None = None


def architecture_of(name: str, config: Mapping[str, Any]) -> Architecture:
    """Read the dimensions from a config.json, or from its `text_config` if it has one, and those of its tower.

    Raises:
        NotPlanned: the model type is not planned, and its dimensions are not under the usual keys.
        ValueError: a key of a planned type is missing or has an impossible value.

    Example:
        >>> config = {"model_type": "qwen2", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        ...     "num_key_value_heads": 2, "intermediate_size": 96, "vocab_size": 128, "max_position_embeddings": 512}
        >>> architecture_of("tiny", config).head_dim
        16
    """
    kind = config.get("model_type")
    if not isinstance(kind, str) or not kind:
        raise ValueError(f"model {name!r} has model_type {_short(kind)} in its config.json; it must be a name.")
    text, where = config.get("text_config"), "the text_config of its config.json"
    if not isinstance(text, Mapping):
        text, where = config, "its config.json"
    unplanned = _why_unplanned(name, kind, text, where)
    try:
        found = _dimensions(name, kind, text, where, unplanned)
        return _seeing(found, config) if kind in VISION_TYPES else found
    except ValueError as error:
        if unplanned:
            raise NotPlanned(f"{unplanned} It {error}") from None
        raise ValueError(f"model {name!r} {error}") from None


def _seeing(found: Architecture, config: Mapping[str, Any]) -> Architecture:
    """Add the tower's dimensions, and whether the embedding is tied, which the whole model's configuration says."""
    vision = config.get("vision_config")
    if not isinstance(vision, Mapping):
        raise ValueError("lacks 'vision_config' in its config.json; it is needed for a plan.")
    where = "the vision_config of its config.json"
    tied = config.get("tie_word_embeddings", found.tied)
    if not isinstance(tied, bool):
        raise ValueError(f"has tie_word_embeddings {_short(tied)} in its config.json; it must be true or false.")
    return replace(found, vision=vision_of(config, partial(_size, vision, where)), tied=tied)


def _size(values: Mapping[str, Any], where: str, key: str, default: int | None = None) -> int:
    if key not in values:
        if default is None:
            raise ValueError(f"lacks {key!r} in {where}; it is needed for a plan.")
        return default
    value = values[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST:
        raise ValueError(f"has {key} {_short(value)} in {where}; it must be a whole number from 1 to {LARGEST}.")
    return value


def _why_unplanned(name: str, kind: str, text: Mapping[str, Any], where: str) -> str | None:
    if kind != WITH_EXPERTS and any(_is_on(text.get(key)) for key in EXPERTS):
        return f"model {name!r} has model_type {_short(kind)} with experts, of which {WITH_EXPERTS} alone is planned."
    if kind not in MODEL_TYPES:
        return f"model {name!r} has model_type {_short(kind)}; planned are {', '.join(MODEL_TYPES)}."
    if biases := [key for key in BIASES if _is_on(text.get(key))]:
        return f"model {name!r} has {' and '.join(biases)} in {where}, and such biases are not planned."
    return None


def _is_on(value: object) -> bool:
    return isinstance(value, int) and value > 0


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:60]}..."


def _dimensions(name: str, kind: str, text: Mapping[str, Any], where: str, unplanned: str | None) -> Architecture:
    def wrong(key: str, must: str) -> ValueError:
        return ValueError(f"has {key} {_short(text[key])} in {where}; it must be {must}.")

    def size(key: str) -> int:
        return _size(text, where, key)

    heads, hidden = size("num_attention_heads"), size("hidden_size")
    groups = heads if text.get("num_key_value_heads") is None else size("num_key_value_heads")
    if heads % groups:
        raise wrong("num_key_value_heads", f"a divisor of num_attention_heads, which is {heads}")
    if text.get("head_dim") is not None:
        head_dim = size("head_dim")
    elif hidden % heads:
        raise wrong("hidden_size", f"a multiple of num_attention_heads, which is {heads}, without a head_dim")
    else:
        head_dim = hidden // heads
    tied = text.get("tie_word_embeddings")
    if tied is not None and not isinstance(tied, bool):
        raise wrong("tie_word_embeddings", "true or false")
    layers, language = size("num_hidden_layers"), VISION_TYPES.get(kind, kind)
    experts = experts_of(text, layers, size, wrong) if kind == WITH_EXPERTS else None
    if experts:
        has_ffn = experts.layers < layers
        # Megatron-Bridge 0.5.1 reads neither key (models/qwen/qwen3_moe_bridge.py).
        if has_ffn and not unplanned:
            unplanned = (
                f"model {name!r} has layers without experts (decoder_sparse_step or mlp_only_layers in {where}), and "
                "Megatron-Bridge gives every layer experts; train it with FSDP2 (model_engine=dp)."
            )
    else:
        has_ffn = not any(_is_on(text.get(key)) for key in EXPERTS)
    return Architecture(
        name=name,
        model_type=kind,
        hidden=hidden,
        layers=layers,
        heads=heads,
        groups=groups,
        head_dim=head_dim,
        ffn=size("intermediate_size") if has_ffn else 0,
        vocabulary=size("vocab_size"),
        positions=size("max_position_embeddings"),
        tied=bool(tied),
        # Qwen2 always has this bias; its config.json does not mention it.
        qkv_bias=language == "qwen2",
        qk_norm=language in ("qwen3", WITH_EXPERTS),
        unplanned=unplanned,
        experts=experts,
    )


def require_planned(model: Architecture) -> None:
    """Raise NotPlanned, with the reason, if the formulas here do not describe the model's memory."""
    if model.unplanned:
        raise NotPlanned(model.unplanned)


@cache
def _listed() -> dict[str, dict[str, Any]]:
    return yaml.safe_load(resources.files(__package__).joinpath("architectures.yaml").read_text())


def listed_models() -> list[str]:
    """Return the Hub names of the models that can be planned without their files.

    Example:
        >>> "Qwen/Qwen2.5-7B-Instruct" in listed_models()
        True
    """
    return sorted(_listed())


def has_config(name: str) -> bool:
    """Return whether a model's name is a local folder with a config.json.

    Example:
        >>> has_config("nowhere")
        False
    """
    # Not Path.expanduser, which raises for an unknown user.
    return os.path.isfile(os.path.join(os.path.expanduser(name), "config.json"))


def is_path(name: str) -> bool:
    """Return whether a model's name is a folder; a name on the Hub is owner/name.

    Example:
        >>> is_path("./model"), is_path("Qwen/Qwen2.5-7B")
        (True, False)
    """
    return name.startswith((".", "/", "~")) or name.count("/") != 1 or os.path.exists(name)


def _read_config(name: str) -> dict[str, Any]:
    try:
        config = json.loads(Path(os.path.expanduser(name), "config.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"model {name!r} has a config.json that can't be read ({error.strerror}).") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"model {name!r} has a config.json that is not valid JSON ({error}); write it again."
        ) from None
    if not isinstance(config, dict):
        raise ValueError(f"model {name!r} has a config.json that is not an object with keys; write it again.")
    if config.get("model_type") in tuple(VISION_TYPES):
        config["preprocessor_config"] = _read_processor(name)
    return config


def _read_processor(name: str) -> dict[str, Any]:
    """Read how large images may be, from the file of the image processor or of the whole one; {} without."""
    folder = Path(os.path.expanduser(name))
    for file in ("preprocessor_config.json", "processor_config.json"):
        try:
            found = json.loads(folder.joinpath(file).read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise ValueError(f"model {name!r} has a {file} that can't be read ({error}); write it again.") from None
        processor = found.get("image_processor", found) if isinstance(found, dict) else None
        if not isinstance(processor, dict):
            raise ValueError(f"model {name!r} has a {file} that is not an object with keys; write it again.")
        return processor
    return {}


def find_architecture(name: str) -> Architecture:
    """Return the dimensions of a model in a local folder or, by its Hub name, in architectures.yaml.

    Raises:
        NotPlanned: a Hub name that is not listed, or as in `architecture_of`.
        ValueError: a folder that does not exist, or as in `architecture_of`.

    Example:
        >>> find_architecture("Qwen/Qwen3-8B").layers
        36
    """
    if has_config(name):
        return architecture_of(name, _read_config(name))
    # The owner may be left out: Qwen3-8B for Qwen/Qwen3-8B.
    for listed, config in _listed().items():
        if name in (listed, listed.rpartition("/")[2]):
            return architecture_of(listed, config)
    if is_path(name) and "/" in name:
        raise ValueError(
            f"model {name!r} is not a folder with a config.json; `medu1 model` and `medu1 quickstart` make small "
            f"models, and {LIST} has the names that need no folder."
        )
    if is_path(name):
        raise ValueError(
            f"model {name!r} is not a folder with a config.json, and not listed in {LIST}; near it are "
            f"{', '.join(difflib.get_close_matches(name, listed_models(), n=3, cutoff=0.0))}."
        )
    raise NotPlanned(
        f"model {name!r} is not a folder here, and not listed in {LIST}; to have it planned, give a folder with its "
        "config.json."
    )


def hugging_face_config(model: Architecture, **more: Any) -> Any:
    """Return transformers' configuration of a model with these dimensions: the reverse of `architecture_of`.

    Args:
        model: dimensions.
        more: further keys, such as rope_parameters; other keys get the model type's defaults, which change no size.

    Example:
        >>> hugging_face_config(find_architecture("Qwen3-8B")).architectures
        ['Qwen3ForCausalLM']
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING, AutoConfig

    text: dict[str, Any] = {
        "vocab_size": model.vocabulary,
        "hidden_size": model.hidden,
        "intermediate_size": model.ffn,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "num_key_value_heads": model.groups,
        "head_dim": model.head_dim,
        "max_position_embeddings": model.positions,
    }
    if model.vision:
        parts = {"text_config": {**text, **more}, "vision_config": _hugging_face_vision(model.vision)}
        config = AutoConfig.for_model(model.model_type, **parts, tie_word_embeddings=model.tied)
        config.architectures = [MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING[type(config)].__name__]
        return config
    if model.experts:
        text |= {
            "num_experts": model.experts.count,
            "num_experts_per_tok": model.experts.active,
            "moe_intermediate_size": model.experts.ffn,
            "norm_topk_prob": model.experts.normalised,
        }
    config = AutoConfig.for_model(model.model_type, **{**text, "tie_word_embeddings": model.tied, **more})
    config.architectures = [MODEL_FOR_CAUSAL_LM_MAPPING[type(config)].__name__]
    return config


def _hugging_face_vision(vision: Vision) -> dict[str, Any]:
    found: dict[str, Any] = {
        "depth": vision.layers,
        "hidden_size": vision.hidden,
        "num_heads": vision.heads,
        "intermediate_size": vision.ffn,
        "out_hidden_size": vision.output,
        "patch_size": vision.patch,
        "temporal_patch_size": vision.frames,
        "in_channels": vision.channels,
        "spatial_merge_size": vision.merge,
    }
    if vision.gated:
        return found
    return found | {
        "num_position_embeddings": vision.positions,
        "deepstack_visual_indexes": list(vision.deepstack),
    }
