"""Checks that the verl methods we override have not changed, by reading verl's files without importing them."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from verl_medu1.verl_compat.look import folder_of
from verl_medu1.verl_compat.table import EXTENDED, Extended

Method = ast.FunctionDef | ast.AsyncFunctionDef


def changed_methods(
    extended: Iterable[Extended] = EXTENDED, ours: Path = Path(__file__).parents[1], theirs: Path | None = None
) -> Iterator[str]:
    """Yield one sentence for each of our `@override` methods whose original is gone or has other parameters.

    Args:
        extended: of the table.
        ours: folder of this package.
        theirs: folder of verl's package; the installed one by default.

    Example:
        >>> list(changed_methods())
        []
    """
    folder = theirs or folder_of("verl")
    assert folder is not None, "verl is installed, as require_verl has found"
    for each in extended:
        known: dict[str, list[str]] = {}
        for file in each.files:
            if not (folder / file).is_file():
                yield f"verl has no {file} any more, which verl_medu1/{each.ours} extends."
                continue
            known |= {method.name: _parameters(method) for method in _methods(folder / file)}
        if not known:
            continue
        for method in overridden(ours / each.ours):
            if method.name not in known:
                files = " and ".join(each.files)
                yield f"verl's {method.name} is gone from {files}; verl_medu1/{each.ours} overrides it."
            elif known[method.name] != _parameters(method):
                yield (
                    f"verl's {method.name} takes ({', '.join(known[method.name])}) now; "
                    f"verl_medu1/{each.ours} overrides it with ({', '.join(_parameters(method))})."
                )


def overridden(file: Path) -> list[Method]:
    """Return the methods in a file that have the decorator `override`."""
    return [method for method in _methods(file) if _is_override(method)]


def _methods(source: Path) -> list[Method]:
    tree = ast.parse(source.read_text(encoding="utf-8"))
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return [node for a_class in classes for node in a_class.body if isinstance(node, Method)]


def _parameters(method: Method) -> list[str]:
    """Return the names of the parameters, without `self`."""
    arguments = method.args
    return [argument.arg for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]][1:]


def _is_override(method: Method) -> bool:
    return any(isinstance(name, ast.Name) and name.id == "override" for name in method.decorator_list)
