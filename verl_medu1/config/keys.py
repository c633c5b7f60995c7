"""Refuses keys of a configuration that nothing reads, and suggests the intended ones; part of `checks.run.check`.

Hydra refuses a misspelt key and advises putting `+` in front of it; the key is then accepted, but nothing reads it.
verl keeps older names of some groups, which its V1 trainers do not read.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from verl_medu1.config.recipes import ENGINE_NODES, SFT, TRAIN
from verl_medu1.verl_compat import config_folder
from verl_medu1.verl_compat.fields import fields_of

# Groups of verl's older releases, and the new names of their keys, unless that is `reward.` and the same name
# (verl/experimental/reward_loop/reward_loop.py, migrate_legacy_reward_impl, which the V1 trainers do not call).
LEGACY_GROUPS = ("custom_reward_function", "reward_model", "sandbox_fusion")
MOVED = {
    "reward_model.num_workers": "reward.num_workers",
    "reward_model.reward_manager": "reward.reward_manager.name",
    "reward_model.reward_loop_source": "reward.reward_manager.source",
    "reward_model.reward_loop_module_path": "reward.reward_manager.module.path",
    "reward_model.reward_loop_class_name": "reward.reward_manager.name",
    "reward_model.model.path": "reward.reward_model.model_path",
}
# Keys of verl's files that nothing reads of what is used here, by stage, each with verl's default. The first is the
# subject of verl's issue 7815.
UNREAD: dict[str, dict[str, Any]] = {
    TRAIN: {
        "actor_rollout_ref.nccl_timeout": 600,  # torch's collectives wait 1,800 seconds
        "actor_rollout_ref.actor.use_prefix_grouper": False,
        "actor_rollout_ref.rollout.multi_stage_wake_up": False,
        "actor_rollout_ref.rollout.multi_turn.num_repeat_rollouts": None,
        "actor_rollout_ref.rollout.over_sample_rate": 0,
        "data.return_raw_input_ids": False,
        "trainer.balance_batch": True,  # batches are always balanced
        "trainer.esi_redundant_time": 0,
    },
    SFT: {
        "data.balance_dp_token": False,
        "trainer.balance_batch": True,
        "trainer.seed": 1,  # the order of the rows is always that of seed 0
    },
}
# Keys that verl reads with `get` and that are in none of its configuration files.
WITHOUT_A_DEFAULT = (
    "actor_rollout_ref.rollout.repetition_penalty",
    "data.cache_dir",
    "data.chat_template_func",
    "data.filter_prompts",
    "data.need_tools_kwargs",
    "model_engine",  # records which of verl's engines Hydra composed
    "reward.custom_reward_function.reward_kwargs",
    "reward.reward_kwargs",
    "reward.timeout",
    "trainer.ray_wait_register_center_timeout",
    "trainer.remove_previous_ckpt_in_save",
    "trainer.wandb_proxy",
)
# Keys that verl's SFT trainer reads with `get`.
SFT_WITHOUT_A_DEFAULT = (
    "data.image_key",
    "data.image_patch_size",
    "data.seed",
    "data.shuffle",
    "data.video_key",
    "model.task_type",
)
# Nodes that verl instantiates as dataclasses in its workers.
INSTANTIATED = ("actor_rollout_ref.actor", "actor_rollout_ref.rollout")
# The same for SFT; each has a folder with a file for each choice.
SFT_INSTANTIATED = ("engine", "model", "optim", "profiler")
# Nodes whose keys belong to another program: Ray, vLLM, Megatron, or the environment.
OPEN = ("ray_init", "engine_kwargs")
OPEN_PREFIX = "override_"


def legacy_violations(config: DictConfig) -> Iterator[str]:
    """Yield one sentence for each key that is set in one of verl's older groups."""
    for group in LEGACY_GROUPS:
        for path, value in _leaves(OmegaConf.to_container(config[group]) if group in config else {}, group):
            if value is not None:
                yield f"{path} is {value!r}, an older name that is not read; set {MOVED.get(path, f'reward.{path}')}."
    if config.algorithm.get("use_pf_ppo"):
        yield (
            "algorithm.use_pf_ppo is true, which verl's V1 trainers do not carry through; leave it out "
            "(algorithm.filter_groups chooses groups)."
        )


def unread_key_violations(config: DictConfig, stage: str = TRAIN) -> Iterator[str]:
    """Yield one sentence for each key that nothing reads, and whose value is not verl's default."""
    for path, default in UNREAD[stage].items():
        value = OmegaConf.select(config, path)
        if value is not None and value != default:
            yield f"{path} is {value!r}, and nothing in verl 0.9.1 reads it; leave it out."


def unknown_key_violations(config: DictConfig, stage: str = TRAIN) -> Iterator[str]:
    """Yield one sentence for each key that is in no configuration file, verl's or ours, nor in its node's dataclass.

    Args:
        config: composed.
        stage: TRAIN or SFT of `verl_medu1.config.recipes`.
    """
    is_sft = stage == SFT
    roots = SFT_INSTANTIATED if is_sft else INSTANTIATED
    for root in roots:
        yield from _refused_by_a_dataclass(OmegaConf.select(config, root), root)
    for path, names in _unknown(config, _known_keys(stage), ""):
        parent, _, key = path.rpartition(".")
        target = str(OmegaConf.select(config, f"{parent}._target_") or "") if parent else ""
        fields = fields_of(target)
        in_a_worker = fields and f"{path}.".startswith(tuple(f"{root}." for root in roots))
        if key in fields or path in (SFT_WITHOUT_A_DEFAULT if is_sft else WITHOUT_A_DEFAULT) or in_a_worker:
            continue
        owner = f"of verl's {target.rpartition('.')[2]}" if target else "that anything reads"
        yield f"{path} is not a key {owner}; near it are {nearest(key, [*fields, *names])}."


def unknown_key_sentence(path: str, stage: str = TRAIN) -> str:
    """Say what is wrong with a key that the configuration does not have.

    Example:
        >>> unknown_key_sentence("trainer.total_training_stepz")
        'trainer.total_training_stepz is not a key; near it are total_training_steps, total_epochs, ...'
    """
    known: Any = _known_keys(stage)
    at = ""
    for name in path.split("."):
        if not isinstance(known, Mapping) or name not in known:
            break
        known, at = known[name], f"{at}.{name}" if at else name
    is_open = any(name in OPEN or name.startswith(OPEN_PREFIX) for name in path.split("."))
    if at == path and not is_open:
        group = "engine" if stage == SFT else "model_engine"
        return f"{path} is a key of another engine; leave it out, or choose that engine with {group}=NAME."
    if (isinstance(known, Mapping) and not known) or known is None or at == path:
        return f"{path} is not a key of the defaults; if what reads {at} knows it, write +{path}=VALUE."
    if not isinstance(known, Mapping):
        return f"{path} is not a key, for {at} is a value."
    key = path.removeprefix(f"{at}.").partition(".")[0]
    names = [name for name in known if name != "_target_"]
    return f"{f'{at}.{key}' if at else key} is not a key; near it are {nearest(key, names)}."


def has_key(path: str, stage: str = TRAIN) -> bool:
    """Return whether a key is in a configuration file.

    Example:
        >>> has_key("trainer.total_training_steps"), has_key("trainer.total_training_stepz")
        (True, False)
    """
    known: Any = _known_keys(stage)
    for name in path.split("."):
        if not isinstance(known, Mapping) or name not in known:
            return False
        known = known[name]
    return True


def nearest(name: str, names: Sequence[str]) -> str:
    """List the names most similar to an unknown one.

    Example:
        >>> nearest("quickstrat", ["smollm2-135m-cpu", "quickstart"])
        'quickstart, smollm2-135m-cpu'
    """
    return ", ".join(difflib.get_close_matches(name, names, cutoff=0.0, n=3))


def _refused_by_a_dataclass(node: Any, path: str) -> Iterator[str]:
    """Yield one sentence for each key that verl's dataclass for a node (`_target_`) would refuse in a worker.

    That includes keys that are in a configuration file.
    """
    if not isinstance(node, DictConfig):
        return
    target = str(node.get("_target_") or "")
    if fields := fields_of(target):
        for key in sorted(map(str, node.keys() - {"_target_", *fields})):
            if key == ENGINE_NODES["megatron"]:
                yield (
                    f"{path}.{key} is set, and only model_engine=megatron reads it; choose that, or leave out what "
                    "sets it, such as precision=fp8."
                )
                continue
            owner = target.rpartition(".")[2]
            yield f"{path}.{key} is not a key of verl's {owner}; near it are {nearest(key, fields)}."
    for name in node:
        if not OmegaConf.is_missing(node, name):
            yield from _refused_by_a_dataclass(node[name], f"{path}.{name!s}")


def _leaves(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key}")
    else:
        yield path, node


def _unknown(node: DictConfig, known: Mapping[str, Any], path: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the paths of unknown keys, each with the known keys of the same node."""
    names = [name for name in known if name != "_target_"]
    for key in map(str, node):
        here = f"{path}.{key}" if path else key
        if key not in known:
            yield here, names
        # A node that is empty by default, or not a node, accepts any key: its content is passed on. What is no node by
        # default is not even read, for that resolves it and takes time.
        elif key not in OPEN and not key.startswith(OPEN_PREFIX) and known[key] and isinstance(known[key], Mapping):
            value = None if OmegaConf.is_missing(node, key) else node[key]
            if isinstance(value, DictConfig):
                yield from _unknown(value, known[key], here)


@cache
def _known_keys(stage: str) -> Mapping[str, Any]:
    """Return all keys of verl's configuration of a stage, for all engines, and of ours, as one tree."""
    known: dict[str, Any] = {}
    theirs = Path(config_folder.folder())
    if stage == SFT:
        _merge(known, _read((theirs / "sft_trainer_engine.yaml").read_text(encoding="utf-8")))
        for node in SFT_INSTANTIATED:
            for file in sorted((theirs / node).glob("*.yaml")):
                _merge(known, {node: _read(file.read_text(encoding="utf-8"))})
    else:
        # verl's composed configurations, one for each engine.
        for file in sorted(theirs.glob("_generated_ppo*.yaml")):
            _merge(known, _read(file.read_text(encoding="utf-8")))
    ours = resources.files("verl_medu1.config")
    for folder in (ours, *(entry for entry in ours.iterdir() if entry.is_dir())):
        for entry in folder.iterdir():
            is_of_sft = "sft" in (entry.name.removesuffix(".yaml"), folder.name.partition("_")[0])
            if entry.name.endswith(".yaml") and is_of_sft == (stage == SFT):
                _merge(known, _read(entry.read_text(encoding="utf-8")))
    return known


def _read(text: str) -> dict[str, Any]:
    content = yaml.load(text, Loader=yaml.CSafeLoader) or {}
    return {key: value for key, value in content.items() if key not in ("defaults", "hydra")}


def _merge(known: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(known.get(key), dict):
            _merge(known[key], value)
        elif key not in known or not known[key]:
            known[key] = dict(value) if isinstance(value, Mapping) else value
