"""Where verl's trainers put what they save."""

from pathlib import Path

TRACKER = "latest_checkpointed_iteration.txt"


def newest_model(run_dir: Path) -> Path:
    """The Hugging Face folder of a run's newest whole checkpoint.

    verl writes the tracker file after everything else of a checkpoint, so that a half-written one is never named.

    Args:
        run_dir: folder of a run of `medu1 train` or `medu1 sft`.

    Raises:
        ValueError: there is no whole checkpoint, or it holds no model in Hugging Face's format.

    Example:
        >>> newest_model(Path("outputs/quickstart"))  # doctest: +SKIP
        PosixPath('outputs/quickstart/checkpoints/global_step_45/actor/model/huggingface')
    """
    checkpoints = run_dir / "checkpoints"
    tracker = checkpoints / TRACKER
    if not tracker.is_file():
        raise ValueError(f"{checkpoints} holds no whole checkpoint; set trainer.save_freq and train.")
    step = checkpoints / f"global_step_{tracker.read_text().strip()}"
    found = sorted(
        file.parent for file in step.rglob("huggingface/config.json") if list(file.parent.glob("*.safetensors"))
    )
    if not found:
        raise ValueError(f"{step} holds no Hugging Face model; add hf_model to checkpoint.save_contents.")
    return found[0]
