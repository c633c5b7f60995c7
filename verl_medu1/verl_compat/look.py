"""Checks that everything in the table still exists, by reading the packages' files without importing them."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from verl_medu1.verl_compat.table import TAKEN, Entry


def missing(
    entries: Iterable[Entry] = TAKEN, folders: Mapping[str, Path] | None = None, cpu: bool = True
) -> Iterator[str]:
    """Yield one sentence for each entry whose file or symbol is missing.

    Args:
        entries: of the table.
        folders: package -> folder, to look in instead of the installed package.
        cpu: also check the entries that only the CPU support uses.

    Example:
        >>> list(missing(cpu=False))
        []
    """
    for entry in entries:
        if entry.cpu_only and not cpu:
            continue
        folder = (folders or {}).get(entry.package) or folder_of(entry.package)
        if folder is None:
            yield f"{entry.package} is not installed; {entry.ours} takes {entry.symbol} from its {entry.file}."
        elif not (folder / entry.file).is_file():
            yield f"{entry.package} has no {entry.file} any more, of which {entry.ours} takes {entry.symbol}."
        elif not _defines(folder / entry.file, entry.symbol):
            yield f"{entry.package} has no {entry.symbol} in {entry.file} any more, which {entry.ours} takes."


@cache
def folder_of(package: str) -> Path | None:
    """Return where a package is installed; None if it is not."""
    parent, _, name = package.rpartition(".")
    if parent:
        above = folder_of(parent)
        return above / name if above and (above / name).is_dir() else None
    spec = find_spec(package)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def _defines(file: Path, symbol: str) -> bool:
    owner, _, name = symbol.rpartition(".")
    tree: ast.AST = ast.parse(file.read_text(encoding="utf-8"))
    if owner:
        found = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == owner]
        return any(name in _names(node) for node in found)
    return name in _names(tree)


def _names(tree: ast.AST) -> set[str]:
    """Return the names that are defined, assigned or imported anywhere in a tree, attributes included."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name)
    return names
