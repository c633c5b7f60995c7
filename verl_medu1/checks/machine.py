"""Checks the disk, a port and the checkpoints of the machine that trains; part of `checks.run.check`."""

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig

from verl_medu1.run_folder.checkpoints import lost_step


def machine_violations(config: DictConfig) -> Iterator[str]:
    """Check that the run's folder can be written to and has space for a checkpoint, and that a port is free."""
    run_dir = Path(config.run_dir).expanduser().absolute()
    existing = next(folder for folder in (run_dir, *run_dir.parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        yield f"run_dir is {str(config.run_dir)!r}, and {str(existing)!r} is not a folder that can be written to."
        return
    weights = Path(str(config.actor_rollout_ref.model.path)).expanduser()
    # Weights, float32 copies and Adam's two moments: at most four times the weight files, for 32-bit weights.
    size = sum(file.stat().st_size for file in weights.glob("*.safetensors")) if weights.is_dir() else 0
    needed, free = 4 * size + 2**30, shutil.disk_usage(existing).free
    if free < needed:
        yield (
            f"run_dir is {str(config.run_dir)!r} with {free / 2**30:.1f} GiB free, and one checkpoint needs up to "
            f"{needed / 2**30:.1f} GiB; free some space or choose another run_dir."
        )
    ray_init = config.ray_kwargs.ray_init
    if ray_init.get("include_dashboard"):
        port = ray_init.get("dashboard_port") or 8265
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                yield f"ray_kwargs.ray_init.dashboard_port is {port}, which is in use; choose another port."


def checkpoint_violations(config: DictConfig) -> Iterator[str]:
    """Check that the checkpoint to resume from has not gone."""
    if config.trainer.resume_mode == "auto" and (lost := lost_step(Path(config.trainer.default_local_dir))):
        yield f"{lost}."
