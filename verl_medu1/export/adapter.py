"""Exports a checkpoint of LoRA: the adapters in peft's format, and their sum with the base model."""

import json
import shutil
from pathlib import Path
from typing import Any, override

import torch
from peft import PeftModel
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM

from verl_medu1.export.checkpoint import Checkpoint, Weights, setting
from verl_medu1.export.merge import FSDPMerger, merger_config, verl_merger
from verl_medu1.models.folder import correct_description
from verl_medu1.run_folder.checkpoints import ADAPTER, ADAPTER_CONFIG

ADAPTER_WEIGHTS = "adapter_model.safetensors"
# Of a configuration; adapters are put into a model with other sizes without a word.
SIZES = ("model_type", "num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size")


class _AdapterMerger(FSDPMerger):
    @override
    def save_hf_model_and_tokenizer(self, state_dict: dict[str, torch.Tensor]) -> None:
        self.save_lora_adapter(state_dict)


def require_base(checkpoint: Checkpoint, given: str | None) -> str | None:
    """Return the model that the adapters of a checkpoint were trained on; None if it holds a whole model.

    Args:
        checkpoint: the checkpoint to export.
        given: the model's folder or name, if the user has named one.

    Raises:
        ValueError: the checkpoint is of LoRA, and nothing says of which model; or a model is given for another one.
    """
    if not checkpoint.lora:
        if given:
            raise ValueError(f"--base is {given}, and {checkpoint.folder} holds a whole model; leave it out.")
        return None
    base = given or setting(checkpoint.configuration(), "actor_rollout_ref.model.path")
    if not base:
        raise ValueError(f"{checkpoint.folder} holds LoRA's adapters alone; name the model they are of with --base.")
    return str(base)


def merge_adapter(checkpoint: Checkpoint, base: str, out: Path) -> None:
    """Write the sum of the base model and the adapters to `out`, and the adapters alone to `out/adapter`.

    W + alpha / rank * B A is added up in float32, for which the memory must hold the model, and written in the
    precision of the base model.

    Args:
        checkpoint: a checkpoint of LoRA.
        base: folder or name of the model that was trained.
        out: folder to write; its configuration, tokenizer and generation settings are the checkpoint's.

    Raises:
        ValueError: the base model can't be loaded or has other sizes, or a shard can't be read.
    """
    out.mkdir(parents=True)
    write_adapter(checkpoint, base, out / ADAPTER)
    try:
        model = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"the base model {base} can't be loaded ({reason}); name it with --base.") from None
    trained = AutoConfig.from_pretrained(checkpoint.hugging_face)
    for size in SIZES:
        found, wanted = getattr(model.config, size, None), getattr(trained, size, None)
        if found != wanted:
            raise ValueError(
                f"the base model {base} has {size} {found}, and {wanted} was trained; name the right one with --base."
            )
    stored = model.dtype
    merged: Any = PeftModel.from_pretrained(model.float(), out / ADAPTER).merge_and_unload()
    merged.to(stored).save_pretrained(out)
    unwanted = shutil.ignore_patterns("*.safetensors*", "*.bin", "*.pt", "*.pth", ADAPTER)
    shutil.copytree(checkpoint.hugging_face, out, ignore=unwanted, dirs_exist_ok=True)
    correct_description(out)


def write_adapter(checkpoint: Checkpoint, base: str, folder: Path) -> None:
    """Write the adapters of a checkpoint in peft's format: a copy from Megatron's, merged shards from FSDP's."""
    if checkpoint.weights == Weights.megatron:
        shutil.copytree(checkpoint.hugging_face / ADAPTER, folder)
    else:
        written = folder.with_name("lora_adapter")  # where verl writes
        with verl_merger():
            merger = _AdapterMerger(merger_config(checkpoint, folder.parent))
            merger.merge_and_save()
            merger.cleanup()
        written.rename(folder)
    _check_whole(folder)
    file = folder / ADAPTER_CONFIG
    file.write_text(json.dumps(json.loads(file.read_text()) | {"base_model_name_or_path": base}, indent=2) + "\n")


def _check_whole(folder: Path) -> None:
    """Raise a ValueError if the adapters can't be read; peft would look for them on the Hub."""
    file = folder / ADAPTER_CONFIG
    try:
        json.loads(file.read_text())
        file = folder / ADAPTER_WEIGHTS
        with safe_open(file, framework="pt") as weights:
            weights.keys()
    except (OSError, ValueError, SafetensorError) as error:
        raise ValueError(f"{file.name} of the adapters can't be read ({error}); export another checkpoint.") from None
