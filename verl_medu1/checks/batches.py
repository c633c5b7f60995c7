"""Checks the number of training rows against the batch size: verl trains on full batches only."""

from collections.abc import Iterator

from omegaconf import DictConfig


def batch_violations(config: DictConfig, rows: int) -> Iterator[str]:
    """Check that the training files can fill a batch.

    Args:
        config: of `medu1 train` or `medu1 sft`.
        rows: number of rows in all training files.
    """
    size = config.data.train_batch_size
    if isinstance(size, int) and rows < size:
        yield f"data.train_batch_size is {size}, and the training files have {rows} rows; lower it to at most {rows}."


def left_out(config: DictConfig, rows: int) -> str | None:
    """Say how many rows each epoch leaves out; return None if there are none, or if there are no epochs.

    Args:
        config: of `medu1 train` or `medu1 sft`, checked.
        rows: number of rows in all training files.

    Example:
        >>> from omegaconf import OmegaConf
        >>> left_out(OmegaConf.create({"data": {"train_batch_size": 16}}), 50)
        'Each pass over the 50 training rows leaves out 2, which fill no batch of 16 (data.train_batch_size).'
    """
    data = config.data
    if _draws_single_rows(config) or data.get("filter_overlong_prompts"):  # how many rows verl will filter is unknown
        return None
    samples = data.get("train_max_samples", -1)
    rows = min(rows, samples) if samples > 0 else rows
    size = data.get("gen_batch_size") or data.train_batch_size
    rest = rows % size
    if not rest:
        return None
    return (
        f"Each pass over the {rows} training rows leaves out {rest}, which fill no batch of {size} "
        "(data.train_batch_size)."
    )


def _draws_single_rows(config: DictConfig) -> bool:
    """Return whether rows are drawn one by one, so that no epoch ends with an incomplete batch.

    verl does so in some modes (verl/trainer/ppo/v1/trainer_base.py, PPOTrainer._init_dataloader), a mixture always.
    """
    if "actor_rollout_ref" not in config:
        return False
    v1 = config.trainer.v1
    is_sync = v1.trainer_mode.removeprefix("medu1_") == "sync"
    refills = config.algorithm.filter_groups.enable or v1.sampler.get("sync_refill_failed_groups")
    return config.data.mixture.by is not None or not is_sync or bool(refills)
