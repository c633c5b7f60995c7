"""A model's dimensions: all that memory and layout depend on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

# Model types whose layers parameters.py describes: RMSNorm, rotary positions, grouped queries, SwiGLU.
MODEL_TYPES = ("llama", "qwen2", "qwen3")


@dataclass(frozen=True)
class Architecture:
    """Dimensions of a decoder-only model, in the words of Hugging Face's config.json.

    Attributes:
        name: shown to the user.
        model_type: MODEL_TYPES can be planned; the rules of a layout hold for others as well.
        hidden: width of the residual stream.
        layers: transformer layers.
        heads: query heads.
        groups: key-value heads (query groups).
        head_dim: width of a head; heads * head_dim need not be hidden.
        ffn: width of the SwiGLU layer.
        vocabulary: rows of the embedding.
        positions: longest sequence.
        tied: the output layer is the embedding.
        qkv_bias: query, key and value have a bias.
        qk_norm: query and key are normalised per head.
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


def architecture_of(name: str, config: Mapping[str, Any]) -> Architecture:
    """The dimensions in a config.json.

    Raises:
        ValueError: a key is missing, or is no size.

    Example:
        >>> config = {"model_type": "qwen2", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        ...     "num_key_value_heads": 2, "intermediate_size": 96, "vocab_size": 128, "max_position_embeddings": 512}
        >>> architecture_of("tiny", config).head_dim
        16
    """

    def size(key: str) -> int:
        if key not in config:
            raise ValueError(f"model {name!r} lacks {key!r} in its config.json; it is needed for a plan.")
        value = config[key]
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"model {name!r} has {key} {value!r} in its config.json; it must be at least 1.")
        return value

    kind, heads, hidden = config.get("model_type", ""), size("num_attention_heads"), size("hidden_size")
    return Architecture(
        name=name,
        model_type=kind,
        hidden=hidden,
        layers=size("num_hidden_layers"),
        heads=heads,
        groups=size("num_key_value_heads") if config.get("num_key_value_heads") else heads,
        head_dim=size("head_dim") if config.get("head_dim") else hidden // heads,
        ffn=size("intermediate_size"),
        vocabulary=size("vocab_size"),
        positions=size("max_position_embeddings"),
        tied=config.get("tie_word_embeddings", False),
        # Qwen2 has the bias without saying so; Llama and Qwen3 say so.
        qkv_bias=kind == "qwen2" or config.get("attention_bias", False),
        qk_norm=kind == "qwen3",
    )


@cache
def _listed() -> dict[str, dict[str, Any]]:
    return yaml.safe_load(resources.files(__package__).joinpath("architectures.yaml").read_text())


def listed_models() -> list[str]:
    """Hub names of the models that can be planned without their files.

    Example:
        >>> "Qwen/Qwen2.5-7B-Instruct" in listed_models()
        True
    """
    return sorted(_listed())


def find_architecture(name: str) -> Architecture:
    """The dimensions of a local folder or, by its hub name, of a model of architectures.yaml.

    Raises:
        ValueError: neither a folder with a config.json nor a listed name.

    Example:
        >>> find_architecture("Qwen/Qwen3-8B").layers
        36
    """
    file = Path(name).expanduser() / "config.json"
    if file.is_file():
        try:
            config = json.loads(file.read_text())
        except json.JSONDecodeError as error:
            raise ValueError(f"model {name!r} has a config.json that is no JSON ({error}); write it again.") from None
        if not isinstance(config, dict):
            raise ValueError(f"model {name!r} has a config.json that is no object with keys; write it again.")
        return architecture_of(name, config)
    # The name alone will do: Qwen3-8B for Qwen/Qwen3-8B.
    for listed, config in _listed().items():
        if name in (listed, listed.rpartition("/")[2]):
            return architecture_of(listed, config)
    raise ValueError(
        f"model {name!r} is no folder with a config.json and no model that is listed here; listed are "
        f"{', '.join(listed_models())}."
    )
