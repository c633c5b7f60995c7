"""Exports a checkpoint of LoRA: the adapters in peft's format, and their sum with the base model."""

import json
import shutil
from pathlib import Path
from typing import Any, override

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from verl_medu1.export.checkpoint import Checkpoint, Weights, setting
from verl_medu1.export.merge import FSDPMerger, merger_config, verl_merger
from verl_medu1.models.folder import correct_description
from verl_medu1.run_folder.checkpoints import ADAPTER, ADAPTER_CONFIG


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

    W + alpha / rank * B A is added up in float32 and written in the precision of the base model.

    Args:
        checkpoint: a checkpoint of LoRA.
        base: folder or name of the model that was trained.
        out: folder to write; its configuration, tokenizer and generation settings are the checkpoint's.

    Raises:
        ValueError: the base model can't be loaded, or a shard can't be read.
    """
    unwanted = shutil.ignore_patterns("*.safetensors*", "*.bin", "*.pt", "*.pth", ADAPTER)
    shutil.copytree(checkpoint.hugging_face, out, ignore=unwanted)
    write_adapter(checkpoint, base, out / ADAPTER)
    try:
        model = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"the base model {base} can't be loaded ({reason}); name it with --base.") from None
    stored = model.dtype
    merged: Any = PeftModel.from_pretrained(model.float(), out / ADAPTER).merge_and_unload()
    merged.to(stored).save_pretrained(out)
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
    file = folder / ADAPTER_CONFIG
    file.write_text(json.dumps(json.loads(file.read_text()) | {"base_model_name_or_path": base}, indent=2) + "\n")
