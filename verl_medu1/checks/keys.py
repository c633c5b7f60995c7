"""Every key of a configuration is read, or refused with the key that is meant; part of `checks.check`.

Hydra refuses a misspelt key, and advises to put `+` before it, with which it is taken by everybody and read by nobody.
verl keeps older names of some groups, which its V1 trainers do not read.
"""

import difflib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from verl_medu1.verl_compat import hydra_source

# Groups of verl's older releases, and where their keys stand now where that is not `reward.` and the same name
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
# Keys that verl reads with `get`, and that stand in none of its configuration files.
WITHOUT_A_DEFAULT = (
    "actor_rollout_ref.rollout.repetition_penalty",
    "data.cache_dir",
    "data.chat_template_func",
    "data.filter_prompts",
    "data.need_tools_kwargs",
    "model_engine",  # Hydra's own: which of verl's engines was composed
    "reward.custom_reward_function.reward_kwargs",
    "reward.reward_kwargs",
    "reward.timeout",
    "trainer.ray_wait_register_center_timeout",
    "trainer.remove_previous_ckpt_in_save",
)
# Nodes that verl makes into dataclasses in its workers.
INSTANTIATED = ("actor_rollout_ref.actor", "actor_rollout_ref.rollout")
# Nodes whose keys are another program's: Ray's, vLLM's, Megatron's, the environment's.
OPEN = ("ray_init", "engine_kwargs")
OPEN_PREFIX = "override_"


def legacy_violations(config: DictConfig) -> Iterator[str]:
    """Keys of verl's older groups that somebody has set."""
    for group in LEGACY_GROUPS:
        for path, value in _leaves(OmegaConf.to_container(config[group]) if group in config else {}, group):
            if value is not None:
                yield f"{path} is {value!r}, an older name that is not read; set {MOVED.get(path, f'reward.{path}')}."
    if config.algorithm.get("use_pf_ppo"):
        yield (
            "algorithm.use_pf_ppo is true, which verl's V1 trainers do not carry through; leave it out "
            "(algorithm.filter_groups chooses groups)."
        )


def unknown_key_violations(config: DictConfig) -> Iterator[str]:
    """Keys that stand in no configuration file of verl's or ours, and in no dataclass that their node is made into."""
    for root in INSTANTIATED:
        yield from _refused_by_a_dataclass(OmegaConf.select(config, root), root)
    for path, names in _unknown(config, _known_keys(), ""):
        parent, _, key = path.rpartition(".")
        target = str(OmegaConf.select(config, f"{parent}._target_") or "") if parent else ""
        fields = _fields(target) if target else []
        in_a_worker = target and path.startswith(tuple(f"{root}." for root in INSTANTIATED))
        if key in fields or path in WITHOUT_A_DEFAULT or in_a_worker:
            continue
        choices = ", ".join(difflib.get_close_matches(key, [*fields, *names], cutoff=0.0, n=3))
        owner = f"of verl's {target.rpartition('.')[2]}" if target else "that anything reads"
        yield f"{path} is no key {owner}; near it are {choices}."


def _refused_by_a_dataclass(node: Any, path: str) -> Iterator[str]:
    """Keys that verl's dataclass for a node (`_target_`) would refuse in a worker, whichever file they stand in."""
    if not isinstance(node, DictConfig):
        return
    if target := str(node.get("_target_") or ""):
        fields = _fields(target)
        for key in sorted(map(str, node.keys() - set(fields))):
            choices = ", ".join(difflib.get_close_matches(key, fields, cutoff=0.0, n=3))
            yield f"{path}.{key} is no key of verl's {target.rpartition('.')[2]}; near it are {choices}."
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
    """Paths of unknown keys, with the known keys beside them."""
    names = [name for name in known if name != "_target_"]
    for key in map(str, node):
        here = f"{path}.{key}" if path else key
        if key not in known:
            yield here, names
        # A node that is empty or no node by default takes any key: what it holds is handed on.
        elif key not in OPEN and not key.startswith(OPEN_PREFIX) and known[key] and not OmegaConf.is_missing(node, key):
            value = node[key]
            if isinstance(value, DictConfig) and isinstance(known[key], Mapping):
                yield from _unknown(value, known[key], here)


def _fields(target: str) -> list[str]:
    from hydra.utils import get_class

    return ["_target_", *getattr(get_class(target), "__dataclass_fields__", {})]


@cache
def _known_keys() -> Mapping[str, Any]:
    """All keys of verl's configuration, for each engine, and of ours, as one tree."""
    known: dict[str, Any] = {}
    # verl's files as it composes them, one for each engine.
    for file in sorted(Path(hydra_source.folder()).glob("_generated_ppo*.yaml")):
        _merge(known, _read(file.read_text(encoding="utf-8")))
    ours = resources.files("verl_medu1.config")
    for folder in (ours, *(entry for entry in ours.iterdir() if entry.is_dir())):
        for entry in folder.iterdir():
            if entry.name.endswith(".yaml") and not entry.name.startswith("sft"):
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
