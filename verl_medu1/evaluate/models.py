"""Which model `--model` means, what it is, and what tells it from another."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import yaml

from verl_medu1.run_folder.checkpoints import newest_model

HOW_TO_GIVE = "give a folder in Hugging Face's format, the run_dir of a training, or the name of a model on the hub"
# What vLLM reads weights from.
WEIGHTS = ("*.safetensors", "*.bin", "*.pt")
# What makes a folder answer as it does.
CONTENT = ("*.safetensors", "*.bin", "*.json", "*.jinja", "*.model", "*.txt")


def resolve_model(model: str) -> str:
    """The folder in Hugging Face's format, or the hub's name, that `--model` means.

    A run folder means its newest whole checkpoint, a checkpoint's folder (`global_step_N`, or a folder in it) the
    weights in Hugging Face's format that it holds.

    Raises:
        ValueError: the folder has no weights in Hugging Face's format.
    """
    folder = Path(model)
    if not folder.is_dir() or (folder / "config.json").is_file():
        return model
    if (folder / "checkpoints").is_dir():
        return str(newest_model(folder))
    if folder.name == "checkpoints":
        return str(newest_model(folder.parent))
    found = sorted(file.parent for file in folder.rglob("huggingface/config.json"))
    below = sorted({run for place in found if (run := _run_below(folder, place))})
    if below:
        raise ValueError(
            f"--model {model} is no run and no checkpoint, but {len(below)} stand below it; "
            f"give one, such as {below[0]}."
        )
    whole = [place for place in found if list(place.glob("*.safetensors"))]
    if whole:
        return str(whole[0])
    if found or list(folder.rglob("*.distcp")) or list(folder.rglob("model_world_size_*.pt")):
        raise ValueError(
            f"--model {model} is a checkpoint without weights in Hugging Face's format; write them with `medu1 export`."
        )
    raise ValueError(f"--model {model} has no config.json; {HOW_TO_GIVE}.")


def _run_below(folder: Path, model: Path) -> Path | None:
    """The run, or else the step, in which a model stands that is somewhere below a folder that is neither."""
    for step in model.relative_to(folder).parents:
        if step.name.startswith("global_step_"):
            path = folder / step
            return path.parent.parent if path.parent.name == "checkpoints" else path
    return None


def check_weights(model: str) -> None:
    """Refuse a folder whose weights are missing or cut off, which vLLM says in a traceback.

    Args:
        model: of `resolve_model`; of a name on the hub nothing is known.

    Raises:
        ValueError: there are none, or a file of them is missing or can't be read; it is named.
    """
    from safetensors import SafetensorError, safe_open

    folder = Path(model)
    if not folder.is_dir():
        return
    if not any(list(folder.glob(pattern)) for pattern in WEIGHTS):
        raise ValueError(f"--model {model} has no weights (model.safetensors); {HOW_TO_GIVE}.")
    index = folder / "model.safetensors.index.json"
    named = set(json.loads(index.read_text())["weight_map"].values()) if index.is_file() else set()
    for file in sorted({folder / name for name in named} | set(folder.glob("*.safetensors"))):
        if not file.is_file():
            raise ValueError(f"{file} is missing: the weights are not whole; copy or export the model again.")
        try:
            with safe_open(file, framework="numpy"):
                pass
        except SafetensorError as error:
            raise ValueError(
                f"{file} is cut off or no safetensors ({error}); copy or export the model again."
            ) from None


def arguments_of_the_run(model: str) -> dict[str, Any]:
    """The template arguments with which a checkpoint's run rendered its prompts, from the config.yaml of the run.

    Args:
        model: of `resolve_model`.

    Returns:
        `data.apply_chat_template_kwargs`; empty for a model that stands in no run.
    """
    for folder in Path(model).resolve().parents:
        file = folder.parent / "config.yaml"
        if folder.name == "checkpoints" and file.is_file():
            config = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
            return dict((config.get("data") or {}).get("apply_chat_template_kwargs") or {})
    return {}


def fingerprint(model: str) -> str:
    """What tells this model from another: the digest of the folder's files, or the hub's revision.

    Args:
        model: of `resolve_model`.
    """
    folder = Path(model)
    if not folder.is_dir():
        from transformers import AutoConfig

        revision = getattr(AutoConfig.from_pretrained(model), "_commit_hash", None)
        return f"{model}@{revision or 'unknown'}"
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted({file for pattern in CONTENT for file in folder.glob(pattern)}):
        digest.update(file.name.encode())
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "blake2b").digest())
    return digest.hexdigest()


def describe_model(model: str) -> dict[str, Any]:
    """Path, architecture and number of parameters (shared ones once), the last from the weights' headers.

    Args:
        model: folder in Hugging Face's format, or name on the hub (then the parameters are None).

    Returns:
        `path`, `architecture`, `parameters`.
    """
    from safetensors import safe_open
    from transformers import AutoConfig

    parameters = 0
    for file in sorted(Path(model).glob("*.safetensors")) if Path(model).is_dir() else []:
        with safe_open(file, framework="numpy") as weights:
            parameters += sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())
    architectures = AutoConfig.from_pretrained(model).architectures or ["unknown"]
    return {"path": model, "architecture": architectures[0], "parameters": parameters or None}
