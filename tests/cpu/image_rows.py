"""Fixed rows with an image each, for the tests that start verl's FSDP2 engine rank by rank, and small models."""

import json
from pathlib import Path
from typing import Any

import torch

from verl_medu1.models.tiny_vl import write_tiny_vl_model

# Of an image of 56 x 56 pixels: patches of a row and a column, and the tokens that they become.
SIDE, IMAGE_TOKENS, IMAGE_PIXELS = 4, 4, 56


def write_model(model_type: str, folder: Path) -> None:
    """Write a small random model that sees: medu1's own, or a Qwen3-VL of its sizes, with its tokenizer."""
    write_tiny_vl_model(["Which side is it? <think>look left</think><answer>A</answer>"] * 9, folder)
    if model_type == "qwen2_5_vl":
        return
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    config = json.loads((folder / "config.json").read_text())
    text, vision = config["text_config"], config["vision_config"]
    ids = {name: value for name, value in config.items() if name.endswith("token_id")}
    sizes = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
             "num_key_value_heads", "max_position_embeddings", "rope_parameters")  # fmt: skip
    seen = ("depth", "hidden_size", "intermediate_size", "num_heads", "patch_size", "out_hidden_size")
    for file in folder.glob("*processor*.json"):
        file.unlink()
    torch.manual_seed(0)
    Qwen3VLForConditionalGeneration(
        Qwen3VLConfig(
            text_config={**{name: text[name] for name in sizes}, "head_dim": 32},
            vision_config={
                **{name: vision[name] for name in seen},
                "num_position_embeddings": 64,
                "deepstack_visual_indexes": [0],
            },
            **ids,
        )
    ).save_pretrained(folder)


def with_images(rows: Any, config: Any) -> Any:
    """Show an image in each row: the tokens after its first become the image's.

    Args:
        rows: from `small_engine.batch`, each longer than an image's tokens.
        config: Hugging Face's configuration of the model.
    """
    from tensordict import NonTensorData, NonTensorStack

    vision = config.vision_config
    tokens, places, pictures = [], [], []
    generator = torch.Generator().manual_seed(0)
    for row in rows["input_ids"].unbind():
        shown = row.clone()
        shown[1 : 1 + IMAGE_TOKENS] = config.image_token_id
        tokens.append(shown)
        places.append(torch.arange(len(row)).repeat(4, 1))
        pixels = torch.randn(SIDE**2, vision.in_channels * 2 * vision.patch_size**2, generator=generator)
        pictures.append({"pixel_values": pixels, "image_grid_thw": torch.tensor([[1, SIDE, SIDE]])})
    rows["input_ids"] = torch.nested.as_nested_tensor(tokens, layout=torch.jagged)
    # Rows of one length would have the four kinds of position as the ragged dimension.
    rows["position_ids"] = torch.nested.nested_tensor_from_jagged(
        torch.cat(places, dim=1), rows["input_ids"].offsets(), jagged_dim=2
    )
    rows["multi_modal_inputs"] = NonTensorStack(*map(NonTensorData, pictures))
    return rows
