"""Resolves `--model`, checks its weights, describes it, and computes its fingerprint."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from verl_medu1.run_folder.checkpoints import STEP, model_folders, newest_model
from verl_medu1.run_folder.configuration import read_configuration
from verl_medu1.run_folder.names import CHECKPOINTS, CONFIG

HOW_TO_GIVE = "give a folder in Hugging Face's format, the run_dir of a training, or the name of a model on the hub"
# Files from which vLLM reads weights.
WEIGHTS = ("*.safetensors", "*.bin", "*.pt")
# Files that determine a model's responses.
CONTENT = (*WEIGHTS, "*.json", "*.jinja", "*.model", "*.txt")


def resolve_model(model: str) -> str:
    """Resolve `--model` to a folder in Hugging Face format, or a name on the hub.

    A run folder stands for its newest complete checkpoint. A checkpoint's folder (`global_step_N`, or a folder in it)
    stands for the Hugging Face folder inside it.

    Raises:
        ValueError: the folder has no weights in Hugging Face format.
    """
    folder = Path(model)
    if not folder.is_dir() or (folder / "config.json").is_file():
        return model
    if (folder / CHECKPOINTS).is_dir():
        return str(newest_model(folder))
    if folder.name == CHECKPOINTS:
        return str(newest_model(folder.parent))
    found = model_folders(folder)
    below = sorted({run for place in found if (run := _run_below(folder, place))})
    if below:
        raise ValueError(
            f"--model {model} is neither a run nor a checkpoint, but {len(below)} stand below it; "
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
    """Return the run, or else the `global_step_N` folder, between `folder` and a model below it; None without one."""
    for step in model.relative_to(folder).parents:
        if step.name.startswith(STEP):
            path = folder / step
            return path.parent.parent if path.parent.name == CHECKPOINTS else path
    return None


def check_weights(model: str) -> None:
    """Refuse a folder whose weights are missing or truncated, which vLLM would report with a traceback.

    Args:
        model: from `resolve_model`; a name on the hub is not checked.

    Raises:
        ValueError: there are no weights, or one of their files is missing or can't be read; the message names it.
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
    """Return the template arguments with which a checkpoint's run rendered its prompts, from the run's config.yaml.

    Args:
        model: from `resolve_model`.

    Returns:
        `data.apply_chat_template_kwargs`; empty for a model outside of a run.

    Raises:
        ValueError: the config.yaml can't be read.
    """
    file = config_of_the_run(model)
    found = OmegaConf.select(read_configuration(file), "data.apply_chat_template_kwargs") if file else None
    arguments: Any = OmegaConf.to_container(found) if OmegaConf.is_dict(found) else {}
    return dict(arguments)


def config_of_the_run(model: str) -> Path | None:
    """Return the config.yaml of the run that a checkpoint belongs to; None for a model outside of a run.

    Args:
        model: from `resolve_model`.
    """
    for folder in Path(model).resolve().parents:
        file = folder.parent / CONFIG
        if folder.name == CHECKPOINTS and file.is_file():
            return file
    return None


def fingerprint(model: str) -> str:
    """Return an identifier of the model: a digest of the folder's files, or the hub's revision.

    Args:
        model: from `resolve_model`.
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
    """Return path, architecture and number of parameters (shared ones once), the last from the weights' headers.

    Args:
        model: folder in Hugging Face format, or name on the hub (then the parameters are None).

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
