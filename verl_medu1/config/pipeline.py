"""The stages of a recipe's pipeline.yaml, with folders and the user's settings filled in."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from verl_medu1.config.keys import nearest
from verl_medu1.config.recipes import PIPELINE, recipe_names, recipe_text
from verl_medu1.run_folder.pipeline import TRAINING, Stage

# The commands that a stage can be.
COMMANDS = (*TRAINING, "export", "merge")
NAME = re.compile(r"[a-z][a-z0-9-]*")
# Not in ${...}, which is Hydra's.
_PLACE = re.compile(r"(?<!\$)\{([\w-]+)\}")
# Without quotes in Hydra, in bash and in Slurm.
_PLAIN = re.compile(r"[A-Za-z0-9_./+-]+")


def stages_of(arguments: Sequence[str]) -> tuple[Path, list[Stage]]:
    """Return the folder and the stages of a pipeline.

    Args:
        arguments: recipe=NAME, run_dir=DIR, and further arguments of single stages, STAGE:ARGUMENT.

    Raises:
        ValueError: there is no such recipe or stage, run_dir is missing or has characters that mean something to Hydra
            or bash, or pipeline.yaml is not a list of stages.
    """
    given = dict(argument.split("=", 1) for argument in arguments if argument.startswith(("recipe=", "run_dir=")))
    recipe, run_dir = given.get("recipe", ""), given.get("run_dir") or f"outputs/{given.get('recipe')}"
    if recipe not in (known := recipe_names(PIPELINE)):
        raise ValueError(f"recipe is {recipe!r}, which has no {PIPELINE}; those with one are {', '.join(known)}.")
    if not _PLAIN.fullmatch(run_dir):
        raise ValueError(f"run_dir is {run_dir!r}; use letters, digits and _ . / + - only.")
    further = [argument for argument in arguments if not argument.startswith(("recipe=", "run_dir="))]
    folder = Path(run_dir)
    return folder, read_stages(recipe_text(recipe, PIPELINE), f"{PIPELINE} of {recipe}", folder, further)


def read_stages(text: str, what: str, run_dir: Path, further: Sequence[str] = ()) -> list[Stage]:
    """Read a pipeline.yaml: `stages`, each a name with a list, the command and its arguments.

    In an argument, {NAME} is the folder of an earlier stage, which stands for its model, and {run_dir} that of the
    pipeline. The folder that a stage writes is added: {run_dir}/NAME.

    Args:
        text: of the file.
        what: its name for messages.
        run_dir: folder of the pipeline.
        further: STAGE:ARGUMENT, which follow the file's arguments, so that they win.

    Raises:
        ValueError: a stage is none, or an argument names no earlier stage.

    Example:
        >>> stages = "{stages: {a: [sft, recipe=x], b: [merge, '{a}', B]}}"
        >>> [stage.arguments for stage in read_stages(stages, "it", Path("out"))]
        [('recipe=x', 'run_dir=out/a'), ('out/a', 'B', '--out', 'out/b')]
    """
    lists = _lists(text, what)
    added: dict[str, list[str]] = {name: [] for name in lists}
    for argument in further:
        name, colon, rest = argument.partition(":")
        if not colon or not rest or "=" in name:
            raise ValueError(
                f"{argument!r} is for no stage; write STAGE:KEY=VALUE, with one of the stages {', '.join(lists)}."
            )
        if name not in added:
            raise ValueError(
                f"{argument!r} is for stage {name!r}, which {what} lacks; near it are {nearest(name, list(lists))}."
            )
        if rest == "--out" or rest.startswith(("run_dir=", "--out=")):
            raise ValueError(f"{argument!r} names another folder, and a stage's is {run_dir}/{name}; leave it out.")
        added[name].append(rest)
    folders: dict[str, Path] = {}
    stages = []
    for name, (command, *arguments) in lists.items():
        arguments = [*arguments, *added[name]]
        needs = dict.fromkeys(place for argument in arguments for place in _places(argument, folders, name, what))
        filled = [_PLACE.sub(lambda match: str(folders.get(match[1], run_dir)), argument) for argument in arguments]
        folders[name] = run_dir / name
        out = (f"run_dir={folders[name]}",) if command in TRAINING else ("--out", str(folders[name]))
        stages.append(Stage(name, command, (*filled, *out), folders[name], tuple(needs)))
    return stages


def _lists(text: str, what: str) -> dict[str, list[str]]:
    try:
        content: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{what} is not YAML ({' '.join(str(error).split())}).") from None
    found = content.get("stages") if isinstance(content, dict) else None
    if not isinstance(found, dict) or not found or set(content) != {"stages"}:
        raise ValueError(f"{what} must have the key stages, and below it names with lists, and no other key.")
    for name, stage in found.items():
        if not isinstance(name, str) or not NAME.fullmatch(name) or name == "run_dir":
            raise ValueError(f"{what} has a stage called {name!r}; use small letters, digits and hyphens.")
        if not isinstance(stage, list) or not stage or not all(isinstance(part, str) for part in stage):
            raise ValueError(f"stage {name} of {what} is {stage!r}; give a list of texts, the command first.")
        if stage[0] not in COMMANDS:
            raise ValueError(f"stage {name} of {what} is {stage[0]!r}; choose one of {', '.join(COMMANDS)}.")
    return found


def _places(argument: str, folders: dict[str, Path], name: str, what: str) -> Iterator[str]:
    """Yield the earlier stages that an argument names."""
    for place in _PLACE.findall(argument):
        if place in folders:
            yield place
        elif place != "run_dir":
            raise ValueError(
                f"stage {name} of {what} has {argument!r}, and {place!r} is no earlier stage; use one of "
                f"{', '.join(['run_dir', *folders])}."
            )
