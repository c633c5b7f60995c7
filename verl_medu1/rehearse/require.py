"""What can be rehearsed."""

from collections.abc import Iterator

from verl_medu1.exit import raise_all
from verl_medu1.plan.architecture import Architecture
from verl_medu1.plan.settings import KEYS, Settings
from verl_medu1.verl_compat.versions import installed_version

# For which the CPU layer has bridges.
MODEL_TYPES = ("llama", "qwen2", "qwen3", "qwen3_moe")


def require_rehearsable(settings: Settings, model: Architecture, rank: int) -> None:
    """Raise if a recipe or a rank can't be rehearsed.

    Raises:
        ValueError: one sentence for each reason.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> require_rehearsable(Settings(), find_architecture("Qwen3-8B"), 8)
        Traceback (most recent call last):
            ...
        ValueError: --rank is 8, and the recipe has ranks 0 to 7.
    """
    raise_all(_reasons(settings, model, rank))


def _reasons(settings: Settings, model: Architecture, rank: int) -> Iterator[str]:
    from verl_medu1.machine.accelerator import has_accelerator

    if has_accelerator():
        yield "this machine has an accelerator, on which the layers that stand in are not used; rehearse on another."
    if (found := installed_version("transformer-engine")) is not None:
        yield (
            f"this environment has Transformer Engine {found}, which needs a GPU and would take the place of layers "
            "that stand in; rehearse in an environment of `make install`."
        )
    if settings.strategy != "megatron":
        yield (
            f"{KEYS['strategy']} is {settings.strategy!r}, and Megatron alone is rehearsed; add model_engine=megatron."
        )
    if settings.fp8:
        yield (
            f"{KEYS['fp8']} is {settings.fp8!r}, and FP8 is Transformer Engine's, which needs a GPU; rehearse with "
            "precision=bf16."
        )
    if settings.precision_aware:
        yield (
            f"{KEYS['precision_aware']} is true, and that optimizer is Transformer Engine's, which needs a GPU; "
            "rehearse with false."
        )
    if model.model_type not in MODEL_TYPES:
        yield (f"model {model.name!r} has model_type {model.model_type!r}; rehearsed are {', '.join(MODEL_TYPES)}.")
    if not 0 <= rank < settings.gpus:
        yield f"--rank is {rank}, and the recipe has ranks 0 to {settings.gpus - 1}."
