"""Checks where a run's metrics go: trackers and the port for Prometheus; parts of `checks.run.check`."""

import errno
import netrc
import os
import re
import socket
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from omegaconf import DictConfig, OmegaConf

# What verl takes in trainer.logger -> the package that it imports for it; None: nothing more than verl's own.
TRACKERS = {
    "console": None,
    "file": None,
    "tensorboard": "tensorboard",
    "wandb": "wandb",
    "mlflow": "mlflow",
    "swanlab": "swanlab",
    "vemlp_wandb": "volcengine_ml_platform",
    "clearml": "clearml",
    "trackio": "trackio",
    "rl_insight": "rl_insight",
}
ENVIRONMENT = "ray_kwargs.ray_init.runtime_env.env_vars"
PORT = "prometheus.port"
_NAME_OF_A_SECRET = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD)$", re.I)
_URL_WITH_PASSWORD = re.compile(r"://[^/\s@]*:[^/\s@]+@")


def metrics_violations(config: DictConfig) -> Iterator[str]:
    """Yield one sentence for each thing that is wrong with `trainer.logger` or either key for Prometheus."""
    for name in loggers(config):
        if name not in TRACKERS:
            yield f"trainer.logger has {name!r}, which verl does not know; choose from {', '.join(TRACKERS)}."
    port = config.prometheus.port
    if port is not None:
        if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 2**16:
            yield f"{PORT} is {port!r}; it must be a whole number from 1 to 65535, or null to serve nothing."
        if "file" not in loggers(config):
            yield f"{PORT} is {port!r}, and trainer.logger lacks file, whose numbers would be served; add it."
    rollout = config.actor_rollout_ref.rollout
    if rollout.prometheus.enable and rollout.disable_log_stats:
        yield (
            "actor_rollout_ref.rollout.prometheus.enable is true, and vLLM keeps no statistics; set "
            "actor_rollout_ref.rollout.disable_log_stats=false."
        )
    yield from _secret_violations(config)


def metrics_here_violations(config: DictConfig) -> Iterator[str]:
    """Check on the machine that trains that trackers have their packages and logins, and that the port is free."""
    environment = os.environ | _environment(config)
    for name in loggers(config):
        package = TRACKERS.get(name)
        if package and find_spec(package) is None:
            yield (
                f"trainer.logger has {name}, and the package {package} is missing; `pip install "
                f"{package.replace('_', '-')}`, or leave {name} out."
            )
        elif name == "wandb" and not _knows_wandb(environment):
            yield (
                "trainer.logger has wandb, and no login is here; run `wandb login`, or set in the environment "
                "WANDB_API_KEY, or WANDB_MODE=offline to send nothing."
            )
        elif name == "mlflow" and (sentence := _mlflow_violation(environment)):
            yield sentence
    port = config.prometheus.port
    if isinstance(port, int) and 0 < port < 2**16 and (why_not := why_no_server(port)):
        yield f"{PORT} is {port}, {why_not}; choose another port, or null to serve nothing."


def loggers(config: DictConfig) -> list[str]:
    """Return the names in `trainer.logger`, which may be one name or a list."""
    value = config.trainer.logger
    return [str(name) for name in ([value] if isinstance(value, str) else value)]


def _environment(config: DictConfig) -> dict[str, str]:
    """Return what the configuration sets in the environment of Ray's processes."""
    found: Any = OmegaConf.select(config, ENVIRONMENT) or {}
    return {str(name): str(value) for name, value in found.items()}


def _secret_violations(config: DictConfig) -> Iterator[str]:
    """Check that no key or password is in the configuration, without repeating it."""
    values = {f"{ENVIRONMENT}.{name}": value for name, value in _environment(config).items()}
    values["trainer.wandb_proxy"] = str(config.trainer.get("wandb_proxy") or "")
    for key, value in values.items():
        if (_NAME_OF_A_SECRET.search(key) and value) or _URL_WITH_PASSWORD.search(value):
            yield (
                f"{key} holds a key or a password, which config.yaml and each tracker would show; leave it out, and "
                "set it in the environment of the run by a variable of its own."
            )


def _knows_wandb(environment: Mapping[str, str]) -> bool:
    """Return whether wandb finds a login, or needs none.

    It looks for one when the trainer starts, and can't ask there.
    """
    if environment.get("WANDB_MODE") in ("offline", "disabled", "dryrun"):
        return True
    if environment.get("WANDB_API_KEY") or environment.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlsplit(environment.get("WANDB_BASE_URL") or "https://api.wandb.ai").netloc
    names = [environment["NETRC"]] if environment.get("NETRC") else ["~/.netrc", "~/_netrc"]
    for file in (Path(name).expanduser() for name in names):
        try:
            if file.is_file() and netrc.netrc(str(file)).authenticators(host):
                return True
        except (netrc.NetrcParseError, OSError):  # wandb can't read it either
            continue
    return False


def _mlflow_violation(environment: Mapping[str, str]) -> str | None:
    """Return a sentence if MLflow would refuse its address, after which verl trains on and tracks nothing."""
    address = environment.get("MLFLOW_TRACKING_URI", "")
    allowed = environment.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in ("true", "1")
    if allowed or not address.startswith(("file:", "/", ".")):
        return None
    return (
        f"MLFLOW_TRACKING_URI is {address!r}, a folder, which MLflow no longer writes to; name a database such as "
        "sqlite:////FOLDER/mlflow.db or a server, or set MLFLOW_ALLOW_FILE_STORE=true."
    )


def why_no_server(port: int) -> str | None:
    """Return why nothing can listen on a port of 127.0.0.1; None if something can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return (
                "which is in use" if error.errno == errno.EADDRINUSE else f"where nothing can listen ({error.strerror})"
            )
    return None
