"""The recipes' models as folders without weights, with what their config.json on the Hub has beside sizes."""

import re
from pathlib import Path
from typing import Any

from verl_medu1.config.recipes import recipe_names
from verl_medu1.plan.architecture import Architecture, find_architecture
from verl_medu1.rehearse.model_folder import write_model_folder

# Rotary embedding and norms, as published.
PUBLISHED: dict[str, dict[str, Any]] = {
    "llama": {
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    },
    "qwen2": {"rms_norm_eps": 1e-6, "rope_theta": 1000000.0},
    "qwen3_moe": {"rms_norm_eps": 1e-6, "rope_theta": 1000000.0},
    "qwen3": {"rms_norm_eps": 1e-6, "rope_theta": 1000000.0},
}


def gpu_recipes() -> list[str]:
    """Names of the recipes for Megatron on GPUs, which state its tensor parallelism.

    Composing all recipes instead takes as long as many tests, and pytest asks before it runs any.
    """
    return [name for name in recipe_names() if re.search(r"-tp\d", name)]


def published_folder(model: Architecture, parent: Path) -> Path:
    """The folder of a model; made once."""
    folder = parent / model.name.replace("/", "--")
    if not folder.exists():
        write_model_folder(model, folder, **PUBLISHED[model.model_type])
    return folder


def model_of(path: str, parent: Path) -> tuple[Architecture, Path]:
    """A recipe's model: its dimensions and its folder."""
    model = find_architecture(path)
    return model, published_folder(model, parent)
