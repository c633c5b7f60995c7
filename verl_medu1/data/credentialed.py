"""Checks that no setting of a training run sends rows under a data use agreement elsewhere; part of `checks.run`."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from omegaconf import DictConfig, OmegaConf

from reward_score.loopback import is_loopback
from reward_score.registry import credentialed_sources, known_sources

# verl's loggers that write only to this machine; the others send generations to a server.
LOCAL_LOGGERS = ("console", "tensorboard", "file")
# Those that otherwise send metrics and the configuration, and wandb what is printed, too, unless told not to; at the
# others we have not looked.
KNOWN_TRACKERS = ("wandb", "mlflow")
WANDB_CONSOLE = "ray_kwargs.ray_init.runtime_env.env_vars.WANDB_CONSOLE"


def credentialed_violations(config: DictConfig, files: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each setting that would send text of credentialed rows to another machine.

    Args:
        config: composed configuration of a training run.
        files: its training and validation files; another check reports unreadable ones.
    """
    found = credentialed_in(files)
    if not found:
        return
    rows = _about(found)
    if config.scoring.judge.base_url is not None:
        yield from judge_violations(str(config.scoring.judge.base_url), found)
    loggers = [str(name) for name in _as_list(config.trainer.logger)]
    remote = [name for name in loggers if name not in LOCAL_LOGGERS]
    if remote and config.trainer.log_val_generations:
        yield (
            f"trainer.log_val_generations is {config.trainer.log_val_generations} with trainer.logger "
            f"{', '.join(remote)}, {rows}; set it to 0."
        )
    if unknown := [name for name in remote if name not in KNOWN_TRACKERS]:
        yield (
            f"trainer.logger has {', '.join(unknown)}, {rows}, and what is sent there besides metrics has not been "
            f"looked at; take {' or '.join(KNOWN_TRACKERS)}, or none."
        )
    console = OmegaConf.select(config, WANDB_CONSOLE)
    if "wandb" in remote and console != "off":
        yield f"{WANDB_CONSOLE} is {console!r}, {rows}, and the console may show some; set it to 'off'."
    trace = OmegaConf.select(config, "actor_rollout_ref.rollout.trace.backend")
    if trace is not None:
        yield f"actor_rollout_ref.rollout.trace.backend is {trace!r}, {rows}; set it to null."


def judge_violations(base_url: str, data_sources: Iterable[str]) -> Iterator[str]:
    """Yield a sentence if a judge is not on this machine and one of these registered data sources is credentialed."""
    found = [] if is_loopback(base_url) else credentialed_sources(data_sources)
    if found:
        way_out = "serve the judge on 127.0.0.1, or set it to null"
        yield f"scoring.judge.base_url is {base_url!r}, {_about(found)}; {way_out}."


def credentialed_in(files: Iterable[str]) -> list[str]:
    """Return the credentialed sources whose rows prepared files have; another check reports unreadable files."""
    return sorted({source for name in files for source in _credentialed_in(name)})


def _about(found: Sequence[str]) -> str:
    return f"and the data has rows of {', '.join(found)}, which may not leave this machine"


def _credentialed_in(file: str) -> list[str]:
    try:
        names = pq.read_table(Path(file).expanduser(), columns=["data_source"])["data_source"].unique().to_pylist()
    except (OSError, pa.ArrowInvalid):
        return []
    return credentialed_sources(set(names) & set(known_sources()))


def _as_list(value: object) -> list[object]:
    return [value] if isinstance(value, str) else list(value)  # type: ignore[call-overload]
