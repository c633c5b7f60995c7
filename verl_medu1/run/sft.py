"""Supervised warm-up: `medu1 sft` and `python -m verl_medu1.run.sft`, verl's SFT trainer on our configuration."""

import os
import socket
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig, open_dict

from verl_medu1.checks.batches import left_out
from verl_medu1.checks.run import check_sft
from verl_medu1.checks.stack import require_plugin, require_verl
from verl_medu1.config.arguments import require_arguments
from verl_medu1.config.model_path import take_newest_model
from verl_medu1.config.recipes import SFT, register_recipes
from verl_medu1.data.storage import training_rows
from verl_medu1.exit import in_one_sentence, say
from verl_medu1.run.channel import Run, connect
from verl_medu1.run.start import start
from verl_medu1.run_folder.claim import RunClaim, claim, keep_and_write
from verl_medu1.run_folder.names import METRICS, TENSORBOARD
from verl_medu1.run_folder.pipeline import total_steps


def _be_the_only_process() -> None:
    """Set what torchrun would set for a single process; under torchrun, change nothing."""
    if "RANK" in os.environ:
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))


@hydra.main(config_path="pkg://verl_medu1.config", config_name="sft", version_base="1.3")
def _main(config: DictConfig) -> None:
    with in_one_sentence():
        take_newest_model(config, SFT)
        check_sft(config)
        require_plugin()
    with open_dict(config):
        config.run_dir = os.path.abspath(config.run_dir)
    os.environ["TENSORBOARD_DIR"] = os.path.join(config.run_dir, TENSORBOARD)
    os.environ["VERL_FILE_LOGGER_PATH"] = os.path.join(config.run_dir, METRICS)
    with in_one_sentence():
        claimed = begin(config)
    if is_first() and (rest := left_out(config, training_rows(config))):
        say(f"medu1: {rest}")
    if channel := connect():
        channel.announce(Run(config.run_dir, config.trainer.default_local_dir, total_steps(config), has_progress=False))
    _be_the_only_process()
    from verl_medu1.training.sft_trainer import run_sft

    run_sft(config)
    if claimed:
        claimed.release()


def is_first() -> bool:
    """Return whether this is the only process, or torchrun's rank 0."""
    return os.environ.get("RANK", "0") == "0"


def begin(config: DictConfig) -> RunClaim | None:
    """Make the run's folder, lock it, and note there what the run is; under torchrun the first process does.

    Returns:
        The lock, until it is released; None in torchrun's other processes.

    Raises:
        ValueError: it can't be written to, or another run uses it.
    """
    claimed = claim(Path(config.run_dir)) if is_first() else None
    try:
        os.makedirs(os.path.join(config.run_dir, METRICS.parent), exist_ok=True)
        if claimed:
            keep_and_write(Path(config.run_dir), config)
    except OSError as error:
        raise ValueError(f"run_dir={config.run_dir} can't be written to: {error.strerror}.") from error
    return claimed


def drive() -> None:
    """Compose the configuration from the command line and train."""
    with in_one_sentence():
        require_verl()
        require_arguments(sys.argv[1:], SFT)
        register_recipes(SFT)
    _main()


if __name__ == "__main__":
    if connect():
        drive()
    else:
        start("verl_medu1.run.sft", sys.argv[1:])
