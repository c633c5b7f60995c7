"""Checks a training run before anything expensive starts; each violation is one sentence."""

from collections.abc import Callable, Iterator
from functools import partial

from omegaconf import DictConfig, OmegaConf

from verl_medu1.checks.batches import batch_violations
from verl_medu1.checks.constraints import constraint_violations
from verl_medu1.checks.episodes import episode_violations
from verl_medu1.checks.files import credentialed_file_violations, data_violations, file_violations
from verl_medu1.checks.images import demonstrated_image_violations, image_violations
from verl_medu1.checks.machine import checkpoint_violations, machine_violations
from verl_medu1.checks.metrics import metrics_here_violations, metrics_violations
from verl_medu1.checks.mismatch import mismatch_violations
from verl_medu1.checks.model import layout_violations, model_violations
from verl_medu1.checks.perception import perception_violations
from verl_medu1.checks.prompts import demonstration_violations, prompt_violations
from verl_medu1.checks.reasoning import reasoning_violations
from verl_medu1.checks.rewards import (
    estimator_violations,
    filter_violations,
    penalty_violations,
    reward_source_violations,
    scoring_violations,
    trainer_violations,
)
from verl_medu1.checks.settings import (
    agent_loop_violations,
    seed_violations,
    setting_violations,
    started_here_violations,
)
from verl_medu1.config.keys import legacy_violations, unknown_key_violations, unread_key_violations
from verl_medu1.config.recipes import SFT
from verl_medu1.data.storage import training_rows
from verl_medu1.exit import raise_all
from verl_medu1.machine.machine import Machine, this_machine

Check = Callable[[DictConfig], Iterator[str]]
# What needs torch, verl itself or the machine that trains: a login node can't check it.
WHERE_IT_TRAINS: tuple[Check, ...] = (
    started_here_violations,
    estimator_violations,
    machine_violations,
    checkpoint_violations,
    metrics_here_violations,
    prompt_violations,
    image_violations,
)


def check(config: DictConfig) -> None:
    """Check a composed training configuration against the files, the model and the machine.

    Raises:
        ValueError: one sentence for each violation, all together.
    """
    raise_all(violation for part in _parts(this_machine()) for violation in part(config))


def check_submission(config: DictConfig, machine: Machine) -> None:
    """Check what a login node can check of a configuration: all but `WHERE_IT_TRAINS`.

    Args:
        config: composed configuration of a training run.
        machine: what the nodes of the job will have.

    Raises:
        ValueError: one sentence for each violation, all together.
    """
    parts = [part for part in _parts(machine) if part not in WHERE_IT_TRAINS]
    raise_all(violation for part in parts for violation in part(config))


def _parts(machine: Machine) -> tuple[Check, ...]:
    """Return the checks of a training run, in the order in which their sentences are told."""
    return (
        unknown_key_violations,
        legacy_violations,
        unread_key_violations,
        setting_violations,
        started_here_violations,
        data_violations,
        credentialed_file_violations,
        trainer_violations,
        reward_source_violations,
        penalty_violations,
        filter_violations,
        estimator_violations,
        constraint_violations,
        mismatch_violations,
        metrics_violations,
        scoring_violations,
        perception_violations,
        reasoning_violations,
        model_violations,
        partial(layout_violations, machine=machine),
        agent_loop_violations,
        episode_violations,
        seed_violations,
        machine_violations,
        checkpoint_violations,
        metrics_here_violations,
        prompt_violations,
        image_violations,
    )


def check_sft(config: DictConfig) -> None:
    """Check a composed configuration of the warm-up.

    Raises:
        ValueError: one sentence for each violation, all together.
    """
    files = {key: OmegaConf.select(config, key) for key in ("data.train_files", "data.val_files")}
    columns = [config.data.messages_key]
    unusable = [violation for key, value in files.items() for violation in file_violations(key, value, columns)]
    raise_all(
        violation
        for found in (
            unknown_key_violations(config, SFT),
            unread_key_violations(config, SFT),
            unusable or batch_violations(config, training_rows(config)),
            model_violations(config, "model"),
            demonstration_violations(config),
            demonstrated_image_violations(config),
        )
        for violation in found
    )
