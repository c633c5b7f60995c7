"""The kernels that a configuration trains with, for `medu1 doctor`."""

from collections.abc import Sequence
from importlib import resources

import yaml
from omegaconf import DictConfig, OmegaConf

from verl_medu1.config.compose import compose_config, settings_in
from verl_medu1.machine.doctor import Needs
from verl_medu1.plan.settings import KEYS

# transformers' attention, with which FSDP2 trains; verl's default is flash_attention_2 (verl/workers/config/model.py).
IMPLEMENTATION = "actor_rollout_ref.model.override_config.attn_implementation"


def needs_of(overrides: Sequence[str]) -> tuple[str, Needs]:
    """Return the kind of machine that a recipe is for, "cpu" or "gpu", and the kernels that it needs there.

    Args:
        overrides: arguments of `medu1 train`.

    Raises:
        ValueError: as `compose_config`.
    """
    config = compose_config(overrides)
    return ("cpu" if config.trainer.device == "cpu" else "gpu"), kernels_of(config)


def usual_needs(machine: str) -> Needs:
    """Return what the Megatron recipes need on a kind of machine: verl, without which none composes, may be missing.

    Example:
        >>> usual_needs("gpu").transformer_engine, usual_needs("cpu").transformer_engine
        (True, False)
    """
    if machine == "cpu":
        return Needs()
    file = resources.files("verl_medu1.config").joinpath("engine_on/gpu_megatron.yaml")
    return kernels_of(OmegaConf.create(yaml.safe_load(file.read_text())))


def kernels_of(config: DictConfig) -> Needs:
    """Return the kernels that a configuration needs."""
    settings = settings_in(config)
    if settings.device == "cpu":
        return Needs()
    if settings.strategy != "megatron":
        kind = OmegaConf.select(config, IMPLEMENTATION) or "flash_attention_2"
        return Needs(without_flash_attention=f"++{IMPLEMENTATION}=sdpa" if kind.startswith("flash_attention") else "")
    return Needs(
        transformer_engine=True,
        # Unless told otherwise, Megatron-Bridge turns the fusion on.
        without_apex=f"{KEYS['accumulation_fusion']}=false" if settings.accumulation_fusion is not False else "",
        without_flash_attention=f"{KEYS['attention']}=fused" if settings.attention == "flash" else "",
    )
