"""Checks a run's model, and its layout against model and machine; part of `checks.run.check`."""

from collections.abc import Iterator

from omegaconf import DictConfig, OmegaConf

from verl_medu1.config.compose import settings_in
from verl_medu1.machine.machine import Machine
from verl_medu1.plan.architecture import (
    Architecture,
    NotPlanned,
    find_architecture,
    has_config,
    is_path,
    require_planned,
)
from verl_medu1.plan.rules.layout import find_violations
from verl_medu1.plan.verdict import require_planned_training


def model_violations(config: DictConfig, node: str = "actor_rollout_ref.model") -> Iterator[str]:
    """Check that a model's folder is there.

    Args:
        config: composed configuration.
        node: the key whose `path` names the model.
    """
    name = str(OmegaConf.select(config, node).path)
    if is_path(name) and not has_config(name):
        yield (
            f"{node}.path is {name!r}, and there is no model directory with a config.json; "
            "`medu1 model` makes small ones, or give a Hugging Face name."
        )


def layout_violations(config: DictConfig, machine: Machine) -> Iterator[str]:
    """Check the layout against model and machine (verl_medu1/plan/rules/layout.py)."""
    name = str(config.actor_rollout_ref.model.path)
    model: Architecture | None = None
    try:
        model = find_architecture(name)
    except NotPlanned:
        pass  # only rules that don't need the model's dimensions are checked; `memory_warning` says so
    except ValueError as error:
        if has_config(name):  # model_violations reports a missing folder
            yield str(error)
    for violation in find_violations(settings_in(config), model, machine):
        yield violation.sentence


def memory_warning(config: DictConfig) -> str | None:
    """Say why the memory of a run on GPUs can't be planned; return None if it can.

    Raises:
        ValueError: the model is missing, or its config.json is broken; `check` reports that first.
    """
    settings = settings_in(config)
    if settings.device == "cpu":
        return None
    try:
        model = find_architecture(str(config.actor_rollout_ref.model.path))
        require_planned(model)
        require_planned_training(settings, model)
    except NotPlanned as why:
        return f"memory was not planned: {why}"
    return None
