"""Are the methods of verl that we override still what they were? Read from its files: nothing of verl is imported."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

# Our file -> the files of verl that hold the classes it extends.
OVERRIDES = {
    "training/trainer.py": ("trainer/ppo/v1/trainer_base.py",),
    "training/reward_manager.py": ("experimental/reward_loop/reward_manager/naive.py",),
    "rollout/single_turn.py": ("experimental/agent_loop/single_turn_agent_loop.py",),
}

Method = ast.FunctionDef | ast.AsyncFunctionDef


def changed_methods(
    overrides: Mapping[str, Sequence[str]] = OVERRIDES,
    ours: Path = Path(__file__).parents[1],
    theirs: Path | None = None,
) -> Iterator[str]:
    """One sentence for each of our methods with the decorator `override` whose original is gone or takes other names.

    Args:
        overrides: our file -> files of verl, each relative to its folder.
        ours, theirs: the folders; `theirs` is that of the installed verl by default.

    Example:
        >>> list(changed_methods())
        []
    """
    folder = theirs or _folder_of_verl()
    for name, sources in overrides.items():
        known: dict[str, list[str]] = {}
        for source in sources:
            if not (folder / source).is_file():
                yield f"verl has no {source} any more, which verl_medu1/{name} extends."
                continue
            known |= {method.name: _parameters(method) for method in _methods(folder / source)}
        for method in _methods(ours / name):
            if not _is_override(method):
                continue
            if method.name not in known:
                yield f"verl's {method.name} is gone from {' and '.join(sources)}; verl_medu1/{name} overrides it."
            elif known[method.name] != _parameters(method):
                yield (
                    f"verl's {method.name} takes ({', '.join(known[method.name])}) now; "
                    f"verl_medu1/{name} overrides it with ({', '.join(_parameters(method))})."
                )


def _folder_of_verl() -> Path:
    spec = find_spec("verl")
    assert spec is not None and spec.submodule_search_locations, "verl is installed, as require_verl has found"
    return Path(spec.submodule_search_locations[0])


def _methods(source: Path) -> list[Method]:
    tree = ast.parse(source.read_text(encoding="utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return [node for a_class in classes for node in a_class.body if isinstance(node, Method)]


def _parameters(method: Method) -> list[str]:
    """Names without `self`."""
    arguments = method.args
    return [argument.arg for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]][1:]


def _is_override(method: Method) -> bool:
    return any(isinstance(name, ast.Name) and name.id == "override" for name in method.decorator_list)
