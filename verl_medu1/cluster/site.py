"""Reads a site file: what `medu1 slurm` needs to know about a cluster, with a sentence for each mistake in it."""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import yaml

from verl_medu1.exit import raise_all
from verl_medu1.machine.gpus import known_gpus

DEFAULT = "default.yaml"
CONTAINERS = ("none", "apptainer", "pyxis")
GPU_OPTIONS = ("gres", "gpus-per-node")
TIME = re.compile(r"\d+|\d+:\d\d|\d+:\d\d:\d\d|\d+-\d+(:\d\d){0,2}")
LEAST = {"gpus_per_node": 1, "cpus_per_node": 1, "signal_s": 1, "max_requeues": 0, "node_timeout_s": 1}
# Options of sbatch that the recipe or another key of the site determines.
TAKEN = {
    "account": "account",
    "partition": "partition",
    "qos": "qos",
    "time": "time",
    "array": "one job per run",
    "nodes": "trainer.nnodes",
    "ntasks": "trainer.nnodes",
    "ntasks-per-node": "trainer.nnodes",
    "gres": "gpu_option",
    "gpus": "gpu_option",
    "gpus-per-node": "gpu_option",
    "cpus-per-task": "cpus_per_node",
    "mem": "memory_gib_per_node",
    "signal": "signal_s",
    "chdir": "the folder you submit from",
    "output": "run_dir",
    "requeue": "max_requeues",
    "no-requeue": "max_requeues",
}
# sbatch interprets backslashes and quotes in its own way, and a line break ends the option.
UNSAFE = re.compile(r"[\x00-\x1f\x7f\\'\"]")


@dataclass(frozen=True)
class Site:
    """A cluster; the comments of slurm/sites/default.yaml describe each key."""

    account: str | None
    partition: str | None
    qos: str | None
    time: str
    gpu: str | None
    gpus_per_node: int
    cpus_per_node: int
    memory_gib_per_node: int | None
    gpu_option: str
    gpu_type: str | None
    interface: str | None
    scratch: str
    offline: bool
    container: str
    image: str | None
    mounts: list[str]
    modules: list[str]
    python: str | None
    environment: dict[str, str]
    sbatch: list[str]
    signal_s: int
    max_requeues: int
    node_timeout_s: int


def example_sites() -> Path:
    """Return the folder of the installed site files."""
    return Path(str(resources.files("verl_medu1.slurm"))) / "sites"


def read_site(file: Path) -> Site:
    """Read a site file on top of the defaults.

    Raises:
        ValueError: one sentence for each mistake, with key, value and how to fix it.

    Example:
        >>> read_site(example_sites() / "gres-infiniband.yaml").interface
        'ib0'
    """
    if not file.is_file():
        raise ValueError(f"--site is {str(file)!r}, and there is no such file; copy one of {example_sites()}.")
    try:
        found = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"--site {file}: no YAML ({' '.join(str(error).split())}); mend it.") from None
    found = {} if found is None else found
    if not isinstance(found, dict):
        raise ValueError(f"--site {file}: it must have keys with values, as {example_sites() / DEFAULT} has.")
    values = yaml.safe_load((example_sites() / DEFAULT).read_text()) | found
    violations = list(_type_violations(values)) or list(_value_violations(values))
    raise_all(f"--site {file}: {violation}" for violation in violations)
    return Site(**values)


def _type_violations(values: Mapping[str, Any]) -> Iterator[str]:
    hints = get_type_hints(Site)
    for key, value in values.items():
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, n=3, cutoff=0.0)
            yield f"{key} is no key of a site; near it are {', '.join(near)}."
        elif not _is_a(value, hints[key]):
            hint = str(hints[key]) if get_args(hints[key]) else hints[key].__name__
            quotes = ' Write it in quotes, such as "24:00:00".' if key == "time" else ""
            yield f"{key} is {value!r}, and must be {hint.replace('None', 'null')}.{quotes}"


def _is_a(value: Any, hint: Any) -> bool:
    if get_origin(hint) is list:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if get_origin(hint) is dict:
        return isinstance(value, dict) and all(isinstance(item, str) for pair in value.items() for item in pair)
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


def _value_violations(values: Mapping[str, Any]) -> Iterator[str]:
    for key, choices in {"container": CONTAINERS, "gpu_option": GPU_OPTIONS, "gpu": (*known_gpus(), None)}.items():
        if values[key] not in choices:
            names = ", ".join("null" if choice is None else choice for choice in choices)
            yield f"{key} is {values[key]!r}; choose one of {names}."
    for key, least in LEAST.items():
        if values[key] < least:
            yield f"{key} is {values[key]}; give a whole number of at least {least}."
    if (memory := values["memory_gib_per_node"]) is not None and memory < 1:
        yield f"memory_gib_per_node is {memory}; give a whole number of at least 1, or null for all of a node."
    if sentence := time_violation("time", values["time"]):
        yield sentence
    for key in ("account", "partition", "qos", "gpu_type", "interface", "scratch", "image", "python"):
        yield from _text_violations(key, values[key])
    for key in ("mounts", "modules"):
        for item in values[key]:
            yield from _text_violations(key, item)
    for key in ("account", "partition", "qos", "gpu_type", "interface", "python", "modules"):
        items = values[key] if isinstance(values[key], list) else [values[key]]
        for item in items:
            if item is not None and not UNSAFE.search(item) and (not item or " " in item):
                yield f"{key} is {item!r}; give it without spaces, or null."
    yield from _container_violations(values)
    if not values["scratch"].startswith("/") or len(values["scratch"]) > 40:
        yield f"scratch is {values['scratch']!r}; give an absolute path of at most 40 characters."
    yield from _environment_violations(values["environment"])
    yield from _sbatch_violations(values["sbatch"])


def time_violation(key: str, time: str) -> str | None:
    """Return a sentence if sbatch would not accept a time, else None.

    Example:
        >>> time_violation("--time", "1-00:00:00") is None, time_violation("--time", "a day") is None
        (True, False)
    """
    if TIME.fullmatch(time) and not re.fullmatch(r"[0:-]+", time):
        return None
    return f"{key} is {time!r}; give D-HH:MM:SS, HH:MM:SS or minutes."


def _text_violations(key: str, value: str | None) -> Iterator[str]:
    if value is not None and UNSAFE.search(value):
        yield f"{key} is {value!r}, which has a line break, a quote or a backslash; leave it out."


def _container_violations(values: Mapping[str, Any]) -> Iterator[str]:
    if values["container"] in CONTAINERS[1:] and not values["image"]:
        yield f"image is null, and container is {values['container']!r}; name the image, or set container to none."
    for mount in values["mounts"]:
        if not mount.startswith("/") or "," in mount or mount.count(":") > 2:
            yield f"mounts has {mount!r}; give absolute paths, SOURCE or SOURCE:TARGET, without commas."


def _environment_violations(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
            yield f"environment has {name!r}, which is no name of a variable; use letters, digits and _."
        elif name.startswith(("MEDU1_", "SLURM_")):
            yield f"environment has {name}, which is set by the job itself; use the site's own key, or leave it out."
        if re.search(r"[\x00\r\n]", value):
            yield f"environment has {name} with a line break in its value; leave it out."


def _sbatch_violations(options: list[str]) -> Iterator[str]:
    for option in options:
        name = option.partition("=")[0].removeprefix("--")
        if not re.fullmatch(r"--[a-z][a-z-]*(=.+)?", option) or UNSAFE.search(option):
            yield f"sbatch has {option!r}; give --name or --name=value on one line, without quotes or backslashes."
        elif name in TAKEN:
            yield f"sbatch has {option!r}, which {TAKEN[name]} decides; leave it out."
