"""Supervised warm-up: `medu1 sft` and `python -m verl_medu1.run.sft`, verl's SFT trainer on our configuration."""

import os
import socket
import sys

import hydra
import pyarrow.parquet as pq
from omegaconf import DictConfig, open_dict

from verl_medu1.checks.run import as_list, check_sft, require_verl
from verl_medu1.config.recipes import SFT, register_recipes
from verl_medu1.exit import in_one_sentence
from verl_medu1.run.channel import METRICS, Run, connect
from verl_medu1.run.start import start


def _be_the_only_process() -> None:
    """What torchrun would set for one process; a run under torchrun keeps its own."""
    if "RANK" in os.environ:
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))


@hydra.main(config_path="pkg://verl_medu1.config", config_name="sft", version_base="1.3")
def _main(config: DictConfig) -> None:
    with in_one_sentence():
        check_sft(config)
    with open_dict(config):
        config.run_dir = os.path.abspath(config.run_dir)
    os.environ["TENSORBOARD_DIR"] = os.path.join(config.run_dir, "tensorboard")
    os.environ["VERL_FILE_LOGGER_PATH"] = os.path.join(config.run_dir, METRICS)
    os.makedirs(os.path.join(config.run_dir, METRICS.parent), exist_ok=True)
    if channel := connect():
        channel.announce(Run(config.run_dir, config.trainer.default_local_dir, _steps(config), has_progress=False))
    _be_the_only_process()
    from verl_medu1.training.sft_trainer import run_sft

    run_sft(config)


def _steps(config: DictConfig) -> int:
    """How many steps verl's trainer takes; an epoch leaves out what does not fill a batch."""
    if config.trainer.total_training_steps is not None:
        return int(config.trainer.total_training_steps)
    rows = sum(pq.read_metadata(file).num_rows for file in as_list(config.data.train_files))
    return rows // int(config.data.train_batch_size) * int(config.trainer.total_epochs)


def drive() -> None:
    """Compose the configuration from the command line and train."""
    with in_one_sentence():
        require_verl()
        register_recipes(SFT)
    _main()


if __name__ == "__main__":
    if connect():
        drive()
    else:
        start("verl_medu1.run.sft", sys.argv[1:])
