"""The checkpoints of verl's trainers: which is the newest complete one, and repairs."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from verl_medu1.run_folder.names import CHECKPOINTS
from verl_medu1.run_folder.whole_file import replace_file

TRACKER = "latest_checkpointed_iteration.txt"
STEP = "global_step_"
# The actor's folder in the checkpoint of a reinforcement learning run; a supervised run has none.
ACTOR = "actor"
# Next to the weights: log-probs under the training engine (training/log_prob_record.py).
LOG_PROBS = "log_probs.json"
# In a step's folder: the multipliers of the constraints (training/constraints.py).
MULTIPLIERS = "multipliers.json"
# What verl writes with LoRA's adapters: from FSDP their rank and scale, from Megatron the adapters in peft's format.
LORA_META, ADAPTER, ADAPTER_CONFIG = "lora_train_meta.json", "adapter", "adapter_config.json"


def step_folder(checkpoints: str | Path, step: int) -> Path:
    """Return the folder of a step's checkpoint.

    Example:
        >>> step_folder("outputs/a/checkpoints", 9).name
        'global_step_9'
    """
    return Path(checkpoints) / f"{STEP}{step}"


def resumed_folder(trainer: Mapping[str, Any], step: int) -> Path:
    """Return the folder of the checkpoint that verl has read to go on.

    Args:
        trainer: of the run's configuration.
        step: that it goes on from.
    """
    if trainer["resume_mode"] == "resume_path":
        return Path(trainer["resume_from_path"])
    return step_folder(trainer["default_local_dir"], step)


def model_folders(folder: Path) -> list[Path]:
    """Return the folders in Hugging Face's format below a folder, with or without weights."""
    return sorted(file.parent for file in folder.rglob("huggingface/config.json"))


def newest_step(checkpoints: Path) -> int | None:
    """Return the step of the newest complete checkpoint; None if there is none.

    verl names it in a tracker file, which it writes after the rest of the checkpoint is complete
    (verl/trainer/ppo/v1/trainer_base.py, PPOTrainer._save_checkpoint). Opening the file empties it: if it holds no
    number, verl was killed between opening and writing it, and the newest folder is complete.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for step in (9, 10):
        ...     (folder / f"global_step_{step}").mkdir()
        >>> (folder / TRACKER).touch()
        >>> newest_step(folder)
        10
    """
    tracker = checkpoints / TRACKER
    if not tracker.is_file():
        return None
    text = tracker.read_text().strip()
    steps = _steps(checkpoints)
    if text.isdecimal():
        return int(text) if int(text) in steps else None
    return max(steps, default=None)


def lost_step(checkpoints: Path) -> str | None:
    """Describe a tracker that names a step whose folder is gone while older ones exist; return None if it is fine.

    verl would start the run again and overwrite them (verl/utils/checkpoint/checkpoint_manager.py,
    find_latest_ckpt_path).

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "global_step_9").mkdir()
        >>> _ = (folder / TRACKER).write_text("10")
        >>> lost_step(folder).partition(", which is not there; ")[2]
        'write 9 into it to go on from global_step_9, or choose another run_dir'
    """
    tracker = checkpoints / TRACKER
    text = tracker.read_text().strip() if tracker.is_file() else ""
    # A later folder than the tracked one may be half written.
    older = [step for step in _steps(checkpoints) if step < int(text)] if text.isdecimal() else []
    if not older or newest_step(checkpoints) is not None:
        return None
    newest = max(older)
    return (
        f"{tracker} names {STEP}{text}, which is not there; write {newest} into it to go on from "
        f"{STEP}{newest}, or choose another run_dir"
    )


def _steps(checkpoints: Path) -> list[int]:
    return [int(folder.name.removeprefix(STEP)) for folder in checkpoints.glob(f"{STEP}*")]


def remove_half_written(checkpoints: Path, step: int) -> None:
    """Remove the folder of a step whose save failed, to free its disk space."""
    if step != newest_step(checkpoints):
        shutil.rmtree(step_folder(checkpoints, step), ignore_errors=True)


def way_on(checkpoints: Path) -> str:
    """Say what the same command would do next, as the end of a sentence."""
    step = newest_step(checkpoints)
    if step is None and (lost := lost_step(checkpoints)):
        return lost
    if step is None:
        return "the same command begins the run again, for no checkpoint was saved"
    return f"the same command continues from {step_folder(checkpoints, step)}"


def holds_lora(folder: Path) -> bool:
    """Return whether a checkpoint holds LoRA's adapters in place of whole weights."""
    return any(list(folder.rglob(name)) for name in (LORA_META, ADAPTER_CONFIG))


def newest_model(run_dir: Path) -> Path:
    """Return the Hugging Face folder of a run's newest complete checkpoint.

    verl writes the tracker file last, so it never names a half-written checkpoint.

    Args:
        run_dir: run folder of `medu1 train` or `medu1 sft`.

    Raises:
        ValueError: there is no complete checkpoint, or it holds no model in Hugging Face's format.

    Example:
        >>> newest_model(Path("outputs/quickstart"))  # doctest: +SKIP
        PosixPath('outputs/quickstart/checkpoints/global_step_45/actor/model/huggingface')
    """
    checkpoints = run_dir / CHECKPOINTS
    newest = newest_step(checkpoints)
    if newest is None and (lost := lost_step(checkpoints)):
        raise ValueError(f"{lost}.")
    if newest is None:
        raise ValueError(f"{checkpoints} holds no whole checkpoint; set trainer.save_freq and train.")
    step = step_folder(checkpoints, newest)
    found = [folder for folder in model_folders(step) if list(folder.glob("*.safetensors"))]
    if not found and holds_lora(step):
        raise ValueError(f"{step} holds LoRA's adapters; `medu1 export` makes a whole model of them.")
    if not found:
        raise ValueError(f"{step} holds no Hugging Face model; add hf_model to checkpoint.save_contents.")
    return found[0]


def mend_tracker(checkpoints: str | Path) -> None:
    """Repair a tracker that was cut off while verl wrote it; verl could not resume from it.

    Args:
        checkpoints: folder of a run's checkpoints; it need not exist.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "global_step_9").mkdir()
        >>> (folder / TRACKER).touch()
        >>> mend_tracker(folder)
        >>> (folder / TRACKER).read_text()
        '9'
    """
    tracker = Path(checkpoints) / TRACKER
    if not tracker.is_file() or tracker.read_text().strip().isdecimal():
        return
    step = newest_step(tracker.parent)
    if step is None:
        tracker.unlink()
        return
    replace_file(tracker, [str(step)])
