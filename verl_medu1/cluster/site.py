"""Reads a site file: what `medu1 slurm` needs to know about a cluster, with a sentence for each mistake in it."""

import difflib
import re
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import AfterValidator, BaseModel, Field, ValidationError, ValidationInfo, field_validator

from verl_medu1.exit import raise_all
from verl_medu1.machine.gpus import known_gpus

DEFAULT = "default.yaml"
# What sbatch accepts, zero excepted.
TIME = r"(?![0:-]+$)(\d+|\d+:\d\d|\d+:\d\d:\d\d|\d+-\d+(:\d\d){0,2})"
NO_TIME = "; give D-HH:MM:SS, HH:MM:SS or minutes"
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
SAFE = r"[^\x00-\x1f\x7f\\'\"]"
# pydantic's name of an error -> what follows key and value in our sentence.
ENDINGS = {
    "bool_type": "; give true or false",
    "dict_type": "; give names with values, such as {{NAME: value}}",
    "greater_than_equal": "; give a whole number of at least {ge}",
    "int_type": "; give a whole number",
    "list_type": "; give a list, such as [first, second]",
    "literal_error": "; choose {expected}",
    "string_type": "; give text, in quotes",
    "value_error": "{error}",  # raised by a validator below
}


def _must(match: str, ending: str) -> AfterValidator:
    """Refuse what is not text or does not match; `ending` is as in ENDINGS."""

    def validate(value: Any) -> Any:
        if not isinstance(value, str) or not re.fullmatch(match, value, re.DOTALL):
            raise ValueError(ending)
        return value

    return AfterValidator(validate)


def _not_taken(option: str) -> str:
    if key := TAKEN.get(option.partition("=")[0].removeprefix("--")):
        raise ValueError(f", which {key} decides; leave it out")
    return option


Container = Literal["none", "apptainer", "pyxis"]
CONTAINERS: tuple[str, ...] = get_args(Container)
Size = Annotated[int, Field(ge=1)]
Text = Annotated[str, _must(f"{SAFE}*", ", which has a line break, a quote or a backslash; leave it out")]
Word = Annotated[Text, _must("[^ ]+", "; give it without spaces, or null")]
Mount = Annotated[
    Text, _must("/[^,:]*(:[^,:]*){0,2}", "; give absolute paths, SOURCE or SOURCE:TARGET, without commas")
]
Variable = Annotated[
    str,
    _must("[A-Za-z_][A-Za-z0-9_]*", ", which is not a name of a variable; use letters, digits and _"),
    _must("(?!MEDU1_|SLURM_).*", ", which is set by the job itself; use the site's own key, or leave it out"),
]
Value = Annotated[str, _must(r"[^\x00\r\n]*", "; give text without line breaks")]
Option = Annotated[
    str,
    _must(f"--[a-z][a-z-]*(={SAFE}+)?", "; give --name or --name=value on one line, without quotes or backslashes"),
    AfterValidator(_not_taken),
]


class Site(BaseModel, strict=True, extra="forbid", frozen=True):
    """A cluster; the comments of slurm/sites/default.yaml describe each key."""

    account: Word | None
    partition: Word | None
    qos: Word | None
    time: Annotated[Any, _must(TIME, f"{NO_TIME}, in quotes")]  # YAML makes a number of 24:00:00 without quotes
    gpu: Annotated[str, _must("|".join(known_gpus()), f"; choose one of {', '.join(known_gpus())}, null")] | None
    gpus_per_node: Size
    cpus_per_node: Size
    memory_gib_per_node: Size | None
    gpu_option: Literal["gres", "gpus-per-node"]
    gpu_type: Word | None
    interface: Word | None
    scratch: Annotated[Text, _must("/.{0,39}", "; give an absolute path of at most 40 characters")]
    offline: bool
    container: Container
    image: Text | None
    mounts: list[Mount]
    modules: list[Word]
    python: Word | None
    environment: dict[Variable, Value]
    sbatch: list[Option]
    signal_s: Size
    max_requeues: Annotated[int, Field(ge=0)]
    node_timeout_s: Size

    @field_validator("image")
    @classmethod
    def _is_named_for_a_container(cls, image: str | None, others: ValidationInfo) -> str | None:
        if not image and (container := others.data.get("container", "none")) != "none":
            raise ValueError(f", and container is {container!r}; name the image, or set container to none")
        return image


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
        raise ValueError(f"--site {file}: no YAML ({' '.join(str(error).split())}); fix it.") from None
    found = {} if found is None else found
    if not isinstance(found, dict):
        raise ValueError(f"--site {file}: it must have keys with values, as {example_sites() / DEFAULT} has.")
    values = yaml.safe_load((example_sites() / DEFAULT).read_text()) | found
    raise_all(f"--site {file}: {violation}" for violation in _violations(values))
    return Site(**values)


def _violations(values: Mapping[Any, Any]) -> Iterator[str]:
    try:
        Site.model_validate(values)
    except ValidationError as error:
        yield from map(_sentence, error.errors())


def _sentence(error: Mapping[str, Any]) -> str:
    key, *inner = map(str, error["loc"])
    if error["type"] in ("extra_forbidden", "invalid_key"):
        near = difflib.get_close_matches(key, Site.model_fields, n=3, cutoff=0.0)
        return f"{key} is not a key of a site; near it are {', '.join(near)}."
    ending = ENDINGS[error["type"]].format(**error.get("ctx", {}))
    if not inner and error["type"] != "value_error" and NoneType in get_args(Site.model_fields[key].annotation):
        ending += ", or null"
    if key == "environment" and inner[-1:] != ["[key]"]:  # a value may be a secret
        return f"{'.'.join((key, *inner))} has a value that is not allowed{ending}."
    value = "null" if error["input"] is None else repr(error["input"])
    if inner and (inner[-1].isdecimal() or inner[-1] == "[key]"):  # an item of a list, or a name in a map
        return f"{key} has {value}{ending}."
    return f"{'.'.join((key, *inner))} is {value}{ending}."
