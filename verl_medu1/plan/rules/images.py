"""Checks images against the prompt, and how a model that sees is trained; part of `layout.find_violations`."""

from collections.abc import Iterator

from verl_medu1.exit import Problem
from verl_medu1.plan.architecture import Architecture
from verl_medu1.plan.fsdp_tower import row_tokens
from verl_medu1.plan.settings import KEYS, Settings
from verl_medu1.plan.vision import image_tokens
from verl_medu1.verl_compat.versions import REQUIRED_VERL

FLASH = "flash_attention_2"


def image_violations(settings: Settings, model: Architecture | None) -> Iterator[Problem]:
    """Yield what is wrong with images, one sentence each; a model that does not see has none.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> wrong = Settings(strategy="fsdp2", images=4, prompt=2048, attn_implementation="sdpa")
        >>> [found.about for found in image_violations(wrong, find_architecture("Qwen2.5-VL-7B-Instruct"))]
        ['images.per_row', 'actor_rollout_ref.model.use_remove_padding']
    """
    if settings.freeze_tower:
        key, lora = KEYS["freeze_tower"], KEYS["peft_rank"]
        yield Problem(
            key,
            f"{key} is True, which verl {REQUIRED_VERL} does not read, so that the tower would be trained; set it to "
            f"false, and to keep the tower train adapters alone ({lora}, with {KEYS['peft_excluded']}='.*visual.*').",
        )
    if model is None or model.vision is None:
        return
    tokens = row_tokens(model, settings)
    if tokens >= settings.prompt:
        key, side = KEYS["images"], settings.image_side
        each = image_tokens(model.vision, side, side)
        yield Problem(
            key,
            f"{key} is {settings.images}, and so many images of {side} x {side} pixels ({KEYS['image_side']}) are "
            f"{tokens} tokens ({each} each), which leaves no room in a prompt of {settings.prompt} "
            f"({KEYS['prompt']}); raise that to more than {tokens}, or prepare smaller images (--image-side).",
        )
    if settings.strategy == "megatron" or settings.device == "cpu":  # checks/images.py has the rule of the CPU
        return
    if settings.packed and not settings.attn_implementation.startswith("flash"):
        # verl/models/transformers/qwen2_vl.py, qwen2_vl_attn_forward.
        key, attention = KEYS["packed"], KEYS["attn_implementation"]
        yield Problem(
            key,
            f"{key} is True, for which verl calls flash-attn in a model that sees, and {attention} is "
            f"{settings.attn_implementation!r}; set it to false, or with flash-attn set ++{attention}={FLASH}.",
        )
