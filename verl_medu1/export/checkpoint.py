"""Finds a checkpoint and the format of its weights, and checks that it is complete."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from verl_medu1.export.shards import read_metadata
from verl_medu1.run_folder.checkpoints import (
    ACTOR,
    ADAPTER,
    ADAPTER_CONFIG,
    LORA_META,
    STEP,
    TRACKER,
    step_folder,
)
from verl_medu1.run_folder.names import CHECKPOINTS, CONFIG


class Weights(StrEnum):
    """The format in which a checkpoint stores its weights."""

    megatron = "Megatron shards"
    fsdp = "FSDP shards"
    hugging_face = "a Hugging Face folder that the training wrote"


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint of a model.

    Attributes:
        folder: the folder that verl's checkpoint manager wrote: `actor`, or the step's folder in a supervised run.
        weights: the format of its weights.
        shards: the folder of its weights.
        hugging_face: the folder of its configuration and tokenizer.
        run: the run folder, if the checkpoint is in one.
        step: the step after which it was saved, if its name says so.
        lora: whether the weights are LoRA's adapters alone.
    """

    folder: Path
    weights: Weights
    shards: Path
    hugging_face: Path
    run: Path | None
    step: int | None
    lora: bool = False

    def configuration(self) -> Mapping[str, Any]:
        """Return the resolved configuration of the run; empty if the checkpoint is in no run's folder.

        Raises:
            ValueError: it can't be read.
        """
        from omegaconf import OmegaConf

        from verl_medu1.run_folder.configuration import read_configuration

        file = self.run / CONFIG if self.run else None
        found: Any = OmegaConf.to_container(read_configuration(file)) if file and file.is_file() else {}
        return dict(found)


def find_checkpoint(given: Path) -> Checkpoint:
    """Find the checkpoint that a folder is or contains, and check that it is complete.

    Args:
        given: a run folder (for its newest complete checkpoint), a checkpoint (`global_step_N`), or its `actor`.

    Raises:
        ValueError: the folder is none of these, or a file is missing or truncated; the message names it.

    Example:
        >>> find_checkpoint(Path("outputs/quickstart")).step  # doctest: +SKIP
        32
    """
    if not given.is_dir():
        raise ValueError(f"CHECKPOINT {given} is not a folder; give a run, or a checkpoint of it (global_step_N).")
    folder = _actor(_newest(given))
    shards, weights = _weights(folder)
    hugging_face = folder / ("model/huggingface" if (folder / "model").is_dir() else "huggingface")
    if not (hugging_face / "config.json").is_file():
        raise ValueError(f"{hugging_face} has no config.json; without it nobody knows what the weights are of.")
    _check_whole(weights, shards)
    step = next((part for part in (folder, folder.parent) if part.name.startswith(STEP)), None)
    in_run = step is not None and step.parent.name == CHECKPOINTS
    number = step.name.removeprefix(STEP) if step is not None else ""
    return Checkpoint(
        folder,
        weights,
        shards,
        hugging_face,
        run=step.parent.parent if step is not None and in_run else None,
        step=int(number) if number.isdecimal() else None,
        lora=_is_lora(folder, weights, hugging_face),
    )


def _newest(given: Path) -> Path:
    for folder in (given, given / CHECKPOINTS):
        if (folder / TRACKER).is_file():
            number = (folder / TRACKER).read_text().strip()
            if not number.isdecimal():
                raise ValueError(f"{folder / TRACKER} was cut off; give one of the checkpoints (global_step_N) itself.")
            step = step_folder(folder, int(number))
            if not step.is_dir():
                raise ValueError(f"{folder / TRACKER} names {step.name}, which is not there; give another checkpoint.")
            return step
    if (given / CHECKPOINTS).is_dir():
        raise ValueError(f"{given / CHECKPOINTS} holds no whole checkpoint; set trainer.save_freq and train.")
    return given


def _actor(step: Path) -> Path:
    return step / ACTOR if (step / ACTOR).is_dir() else step


def _weights(folder: Path) -> tuple[Path, Weights]:
    """Return the shards if there are any, because the training wrote them; else the folder that verl made from them."""
    if (folder / "model" / "dist_ckpt" / "metadata.json").is_file():
        return folder / "model" / "dist_ckpt", Weights.megatron
    if list(folder.glob("model_world_size_*_rank_*.pt")):
        return folder, Weights.fsdp
    for place in (folder / "model" / "huggingface", folder / "huggingface"):
        if list(place.glob("model*.safetensors*")):
            return place, Weights.hugging_face
    raise ValueError(
        f"{folder} holds no weights of a model; give a checkpoint of `medu1 train` or `medu1 sft` "
        "that was saved with model in checkpoint.save_contents."
    )


def _is_lora(folder: Path, weights: Weights, hugging_face: Path) -> bool:
    if weights == Weights.fsdp:
        return (folder / LORA_META).is_file()
    if weights == Weights.megatron:
        contents = folder / "ckpt_contents.json"
        try:
            lora = contents.is_file() and json.loads(contents.read_text())["backend"]["peft"]
        except (ValueError, KeyError):
            raise ValueError(f"{contents} is cut off: the checkpoint is not whole; export another one.") from None
        if lora and not (hugging_face / ADAPTER / ADAPTER_CONFIG).is_file():
            raise ValueError(
                f"{folder} holds LoRA's adapters in Megatron's format only; train with hf_model in "
                "actor_rollout_ref.actor.checkpoint.save_contents, as lora=r16 does."
            )
        return bool(lora)
    return False


def setting(config: Mapping[str, Any], key: str) -> Any:
    """Return the value of a dotted key; None if the configuration lacks it.

    Example:
        >>> setting({"data": {"seed": 3}}, "data.seed"), setting({}, "data.seed")
        (3, None)
    """
    value: Any = config
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def _check_whole(weights: Weights, shards: Path) -> None:
    needed = {
        Weights.megatron: _megatron_files,
        Weights.fsdp: _fsdp_files,
        Weights.hugging_face: _hugging_face_files,
    }[weights](shards)
    for name, size in needed.items():
        file = shards / name
        if not file.is_file():
            raise ValueError(f"{file} is missing: the checkpoint is not whole; export another one.")
        if file.stat().st_size < size:
            raise ValueError(f"{file} is cut off: the checkpoint is not whole; export another one.")


def _megatron_files(shards: Path) -> dict[str, int]:
    """Return each shard with its minimum size in bytes, according to the checkpoint's index."""
    sizes: dict[str, int] = {}
    for info in read_metadata(shards).storage_data.values():
        sizes[info.relative_path] = max(sizes.get(info.relative_path, 1), info.offset + info.length)
    return sizes


def _fsdp_files(shards: Path) -> dict[str, int]:
    file = shards / "fsdp_config.json"
    if not file.is_file():
        raise ValueError(f"{file} is missing: the checkpoint is not whole; export another one.")
    world = json.loads(file.read_text())["world_size"]
    return {f"model_world_size_{world}_rank_{rank}.pt": 1 for rank in range(world)}


def _hugging_face_files(shards: Path) -> dict[str, int]:
    index = shards / "model.safetensors.index.json"
    names = set(json.loads(index.read_text())["weight_map"].values()) if index.is_file() else {"model.safetensors"}
    return dict.fromkeys(sorted(names), 1)
