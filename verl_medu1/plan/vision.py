"""Dimensions of the part of a model that sees, its vision tower, and the tokens of an image."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Model types whose tower is described here, and the type of their language model.
VISION_TYPES = {"qwen2_5_vl": "qwen2", "qwen3_vl": "qwen3"}
# The image processor's limits where a model has none of its own (transformers, Qwen2VLImageProcessor).
LEAST_PIXELS, MOST_PIXELS = 56 * 56, 28 * 28 * 1280


@dataclass(frozen=True)
class Vision:
    """Dimensions of a vision tower: blocks over patches of an image, and mergers that make tokens of them.

    Attributes:
        layers: blocks.
        hidden: width of a patch.
        heads: attention heads.
        ffn: width of the feed-forward layer.
        output: width of a token that it gives: the language model's.
        patch: pixels of a patch's side.
        frames: frames that a patch covers; a still image is repeated.
        channels: colours.
        merge: patches of a token's side.
        gated: whether the blocks are Qwen2.5-VL's, with SwiGLU and RMSNorm, or Qwen3-VL's, with GELU, LayerNorm and a
            table of positions.
        positions: rows of the table of positions; 0 without.
        deepstack: blocks whose output also goes to the language model, each through a merger of its own.
        least_pixels: smaller images are enlarged to that.
        most_pixels: larger images are made smaller.
    """

    layers: int
    hidden: int
    heads: int
    ffn: int
    output: int
    patch: int
    frames: int
    channels: int
    merge: int
    gated: bool
    positions: int
    deepstack: tuple[int, ...]
    least_pixels: int
    most_pixels: int

    @property
    def pixel_values(self) -> int:
        """Numbers of a patch: colours of its pixels, in each frame."""
        return self.channels * self.frames * self.patch**2

    @property
    def merged(self) -> int:
        """Width of the patches of a token together."""
        return self.hidden * self.merge**2


Shapes = Iterator[tuple[int, int]]


def vision_of(config: Mapping[str, Any], size: Callable[..., int]) -> Vision:
    """Read the dimensions from the `vision_config` of a config.json.

    Args:
        config: of one of `VISION_TYPES`; `preprocessor_config` is the content of the file of that name.
        size: reads a whole number: its key, and what it is if it is missing.
    """
    gated = config["model_type"] == "qwen2_5_vl"
    vision, pixels = config["vision_config"], _pixels(config.get("preprocessor_config") or {})
    return Vision(
        layers=size("depth"),
        hidden=size("hidden_size"),
        heads=size("num_heads"),
        ffn=size("intermediate_size"),
        output=size("out_hidden_size"),
        patch=size("patch_size"),
        frames=size("temporal_patch_size", 2),
        channels=size("in_channels", 3),
        merge=size("spatial_merge_size", 2),
        gated=gated,
        positions=0 if gated else size("num_position_embeddings"),
        deepstack=() if gated else _blocks(vision.get("deepstack_visual_indexes", ())),
        least_pixels=pixels[0],
        most_pixels=pixels[1],
    )


def _blocks(given: object) -> tuple[int, ...]:
    if not isinstance(given, list | tuple) or not all(type(number) is int for number in given):
        raise ValueError("has a deepstack_visual_indexes in its vision_config that is no list of numbers of blocks.")
    return tuple(given)


def _pixels(processor: Mapping[str, Any]) -> tuple[int, int]:
    size = processor.get("size")
    named = size if isinstance(size, Mapping) else {}
    least = processor.get("min_pixels") or named.get("shortest_edge") or LEAST_PIXELS
    most = processor.get("max_pixels") or named.get("longest_edge") or MOST_PIXELS
    for pixels in (least, most):
        if type(pixels) is not int or pixels < 1:
            raise ValueError(f"has {pixels!r} pixels as a limit in its preprocessor_config.json; it must be a number.")
    return least, most


def image_tokens(vision: Vision, width: int, height: int) -> int:
    """Return the tokens of an image: its sides become multiples of a token's, between the least and the most pixels.

    Source: transformers/models/qwen2_vl/image_processing_qwen2_vl.py, smart_resize.

    Args:
        vision: dimensions.
        width: pixels.
        height: pixels.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> [image_tokens(find_architecture(name).vision, 672, 672) for name in ("Qwen2.5-VL-7B-Instruct",
        ...     "Qwen3-VL-8B-Instruct")]
        [576, 441]
    """
    side = vision.patch * vision.merge
    rows, columns = round(height / side), round(width / side)
    if rows * columns * side**2 > vision.most_pixels:
        scale = math.sqrt(height * width / vision.most_pixels)
        rows, columns = (max(1, math.floor(pixels / scale / side)) for pixels in (height, width))
    elif rows * columns * side**2 < vision.least_pixels:
        scale = math.sqrt(vision.least_pixels / (height * width))
        rows, columns = (math.ceil(pixels * scale / side) for pixels in (height, width))
    return rows * columns


def most_tokens(vision: Vision) -> int:
    """Return the tokens of the largest image.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> most_tokens(find_architecture("Qwen2.5-VL-7B-Instruct").vision)
        16384
    """
    return max(1, vision.most_pixels // (vision.patch * vision.merge) ** 2)


def block_matrices(vision: Vision) -> dict[str, tuple[int, int]]:
    """Return inputs and outputs of a block's matrices, by transformers' names; each has a bias.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> sorted(block_matrices(find_architecture("Qwen3-VL-8B-Instruct").vision))
        ['attn.proj', 'attn.qkv', 'mlp.linear_fc1', 'mlp.linear_fc2']
    """
    hidden, ffn = vision.hidden, vision.ffn
    attention = {"attn.qkv": (hidden, 3 * hidden), "attn.proj": (hidden, hidden)}
    if vision.gated:
        gate, up, down = "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"
        return {**attention, gate: (hidden, ffn), up: (hidden, ffn), down: (ffn, hidden)}
    return {**attention, "mlp.linear_fc1": (hidden, ffn), "mlp.linear_fc2": (ffn, hidden)}


def merger_matrices(vision: Vision) -> dict[str, tuple[int, int]]:
    """Return inputs and outputs of a merger's matrices, by transformers' names; each has a bias."""
    names = ("mlp.0", "mlp.2") if vision.gated else ("linear_fc1", "linear_fc2")
    return dict(zip(names, ((vision.merged, vision.merged), (vision.merged, vision.output)), strict=True))


def tower_matrices(vision: Vision) -> dict[str, tuple[int, int]]:
    """Return inputs and outputs of all the tower's matrices, by their names in the whole model.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> tower_matrices(find_architecture("Qwen2.5-VL-7B-Instruct").vision)["model.visual.merger.mlp.2"]
        (5120, 3584)
    """
    blocks = {f"blocks.{number}": block_matrices(vision) for number in range(vision.layers)}
    lists = {f"deepstack_merger_list.{number}": merger_matrices(vision) for number in range(len(vision.deepstack))}
    parts = {**blocks, "merger": merger_matrices(vision), **lists}
    return {f"model.visual.{part}.{name}": sides for part, found in parts.items() for name, sides in found.items()}


def _with_biases(matrices: Mapping[str, tuple[int, int]]) -> Shapes:
    for inputs, outputs in matrices.values():
        yield from ((outputs, inputs), (outputs, 1))


def block_shapes(vision: Vision) -> Shapes:
    """Yield rows and columns of a block's tensors."""
    yield from _with_biases(block_matrices(vision))
    # A LayerNorm has a bias, an RMSNorm none.
    yield from [(vision.hidden, 1)] * (2 if vision.gated else 4)


def position_shapes(vision: Vision) -> Shapes:
    """Yield rows and columns of the table of positions, if there is one."""
    if vision.positions:
        yield vision.positions, vision.hidden


def root_shapes(vision: Vision) -> Shapes:
    """Yield rows and columns of the tensors outside of blocks and tables: the patches' projection, and the mergers."""
    yield vision.hidden, vision.pixel_values
    if not vision.gated:
        yield vision.hidden, 1
    for width in (vision.hidden, *(vision.merged for _ in vision.deepstack)):
        yield from _with_biases(merger_matrices(vision))
        yield from [(width, 1)] * (1 if vision.gated else 2)


def tower_parameters(vision: Vision | None) -> int:
    """Return the number of parameters of a tower; 0 without.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> f"{tower_parameters(find_architecture('Qwen2.5-VL-7B-Instruct').vision):,}"
        '676,550,144'
    """
    if vision is None:
        return 0
    shapes = [*root_shapes(vision), *position_shapes(vision), *list(block_shapes(vision)) * vision.layers]
    return sum(rows * columns for rows, columns in shapes)
