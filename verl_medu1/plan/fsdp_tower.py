"""What the part of a model that sees takes under FSDP2: its share on a rank, and activations for the patches of images.

Each block is a unit of torch's `fully_shard`, and so is the table of positions. The patches' projection and the mergers
are in the root's unit, which stays gathered from the forward pass to the end of the backward pass
(verl/utils/fsdp_utils.py, apply_fsdp2). Derived from transformers 5.9.0, models/qwen2_5_vl and models/qwen3_vl.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from verl_medu1.plan.adapters import tower_targets
from verl_medu1.plan.architecture import Architecture
from verl_medu1.plan.memory import BYTES
from verl_medu1.plan.settings import Settings
from verl_medu1.plan.vision import Vision, block_shapes, image_tokens, position_shapes, root_shapes

LOG_SUM_EXP = 4  # bytes that attention keeps per patch and head


@dataclass(frozen=True)
class Tower:
    """Bytes on a rank beside the shares of weights, gradients and optimizer; all 0 without a tower.

    Attributes:
        given: pixel values of a micro-batch.
        kept: what the backward pass needs at the end of the forward pass, with the pixel values.
        again: what a block keeps while it is recomputed; 0 without gradient checkpointing.
        passing: one block's activations without a backward pass.
        block: a gathered block.
        block_gradient: its whole gradient, as it is computed and as it is reduced.
        root: the gathered part outside of the blocks.
        root_gradient: its whole gradient, likewise.
    """

    given: float = 0.0
    kept: float = 0.0
    again: float = 0.0
    passing: float = 0.0
    block: float = 0.0
    block_gradient: float = 0.0
    root: float = 0.0
    root_gradient: float = 0.0


def row_tokens(model: Architecture, settings: Settings) -> int:
    """Return the tokens that the images of a row are; 0 for a model that does not see.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> row_tokens(find_architecture("Qwen2.5-VL-7B-Instruct"), Settings(images=2, image_side=672))
        1152
    """
    if model.vision is None:
        return 0
    return settings.images * image_tokens(model.vision, settings.image_side, settings.image_side)


def patches(model: Architecture, settings: Settings) -> int:
    """Return the most patches of a micro-batch: with dynamic batches those of rows that are nothing but their images.

    With Ulysses each rank sees the images of all rows that it shares with others (verl's ulysses_pad).

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> seven = find_architecture("Qwen2.5-VL-7B-Instruct")
        >>> patches(seven, Settings(dynamic=False, micro_batch=2)), patches(seven, Settings(token_limit=6144))
        (4608, 23040)
    """
    tokens = row_tokens(model, settings)
    if model.vision is None or not tokens:
        return 0
    rows = settings.micro_batch or 1
    if settings.dynamic:
        rows = max(1, settings.token_limit * settings.sequence_parts // tokens)
    return rows * tokens * model.vision.merge**2


def tower_share(model: Architecture, ranks: int) -> int:
    """Return the elements of the tower that the first rank holds (`fsdp.share`)."""
    if (vision := model.vision) is None:
        return 0
    shapes = [*root_shapes(vision), *position_shapes(vision), *list(block_shapes(vision)) * vision.layers]
    return sum(-(-rows // ranks) * columns for rows, columns in shapes)


def adapter_shapes(model: Architecture, settings: Settings) -> Iterable[tuple[int, int]]:
    """Yield rows and columns of the adapters beside the tower's matrices."""
    for inputs, outputs in tower_targets(model, settings).values():
        yield from ((settings.peft_rank, inputs), (outputs, settings.peft_rank))


def has_backward(model: Architecture, settings: Settings) -> bool:
    """Return whether gradients pass through the tower.

    They do if it is trained, or has adapters. Frozen, they still pass through Qwen2.5-VL's: peft needs inputs with
    gradients, and transformers takes the patches' projection as an input beside the embedding
    (enable_input_require_grads, `_input_embed_layer`); not through Qwen3-VL's, which names no such layer.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> frozen = Settings(strategy="fsdp2", peft_rank=8, peft_excluded=".*visual.*")
        >>> [has_backward(find_architecture(name), frozen) for name in ("Qwen2.5-VL-3B-Instruct",
        ...     "Qwen3-VL-8B-Instruct")]
        [True, False]
    """
    if model.vision is None:
        return False
    return not settings.adapter_rank or model.vision.gated or bool(tower_targets(model, settings))


def block_bytes(model: Architecture, vision: Vision, settings: Settings) -> float:
    """Return the bytes that a block keeps per patch; elements have b bytes, those of the gathered weights.

    | kept | bytes |
    |---|---|
    | inputs of both norms, in float32 | 8 h |
    | an RMSNorm's output before it is scaled, if its weight is trained; a LayerNorm's mean and deviation | 2 h b; 16 |
    | outputs of the norms: inputs of qkv, and of the feed-forward layer | 2 h b |
    | query and key, turned, and what qkv gives, of which value is a view; attention's log-sums | 5 h b + 4 q |
    | output of attention, input of the projection; with sdpa also in another order | h b; 2 h b |
    | Qwen2.5-VL: gate, its SiLU, up, and their product, the input of down | 4 f b |
    | Qwen3-VL: inputs of GELU and of the second matrix | 2 f b |

    Where nothing in the tower is trained or has adapters, no matrix keeps its input.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> model = find_architecture("Qwen2.5-VL-7B-Instruct")
        >>> block_bytes(model, model.vision, Settings(strategy="fsdp2"))
        63264.0
    """
    width, hidden = BYTES[settings.gathered_dtype], vision.hidden
    trains_all = not settings.adapter_rank
    feeds = trains_all or bool(tower_targets(model, settings))
    kept = 8.0 * hidden + (trains_all * 2 * hidden * width if vision.gated else 16)
    kept += feeds * 2 * hidden * width
    kept += 5 * hidden * width + LOG_SUM_EXP * vision.heads + hidden * width
    if not settings.attn_implementation.startswith("flash") and feeds:
        kept += hidden * width
    return kept + (3 + feeds if vision.gated else 1 + feeds) * vision.ffn * width


def merger_bytes(model: Architecture, vision: Vision, settings: Settings) -> float:
    """Return the bytes that all mergers keep per patch: the norm's input in float32 and output, and around the GELU."""
    width, hidden = BYTES[settings.gathered_dtype], vision.hidden
    trains_all = not settings.adapter_rank
    feeds = trains_all or bool(tower_targets(model, settings))
    kept = 4 * hidden + (trains_all * hidden * width if vision.gated else 8)
    kept += feeds * hidden * width + hidden * width + feeds * hidden * width
    return float(kept * (1 + len(vision.deepstack)))


def tower_of(model: Architecture, settings: Settings) -> Tower:
    """Return what the tower takes on a rank.

    With gradient checkpointing a block keeps its input alone, h elements a patch.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> settings = Settings(strategy="fsdp2", dynamic=False, micro_batch=2)
        >>> found = tower_of(find_architecture("Qwen2.5-VL-7B-Instruct"), settings)
        >>> round(found.kept / 2**30, 2), round(found.again / 2**30, 2)
        (0.45, 0.27)
    """
    if (vision := model.vision) is None:
        return Tower()
    width, reduced, number = BYTES[settings.gathered_dtype], BYTES[settings.reduce_dtype], patches(model, settings)
    trains_all, each = not settings.adapter_rank, block_bytes(model, vision, settings)
    given = number * vision.pixel_values * BYTES["float32"]
    kept = again = 0.0
    if has_backward(model, settings):
        block = vision.hidden * width if settings.gradient_checkpointing else each
        kept = number * (vision.layers * block + merger_bytes(model, vision, settings))
        kept += trains_all * number * vision.pixel_values * width
        again = number * each if settings.gradient_checkpointing else 0.0
    of_block, of_root = (
        sum(rows * columns for rows, columns in shapes(vision)) for shapes in (block_shapes, root_shapes)
    )
    return Tower(
        given=float(given),
        kept=given + kept,
        again=again,
        passing=number * each,
        block=float(of_block * width),
        block_gradient=float(trains_all * of_block * (width + reduced)),
        root=float(of_root * width),
        root_gradient=float(trains_all * of_root * (width + reduced)),
    )
