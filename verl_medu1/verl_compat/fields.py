"""Reads the fields of verl's dataclasses from its source files: importing them needs torch and takes seconds."""

import ast
from functools import cache
from pathlib import Path

from verl_medu1.verl_compat import config_folder


@cache
def fields_of(target: str) -> tuple[str, ...]:
    """Return the fields of one of verl's dataclasses, including inherited ones; empty for anything else.

    Args:
        target: the value of a `_target_` key, such as verl.workers.config.RolloutConfig.

    Example:
        >>> "temperature" in fields_of("verl.workers.config.RolloutConfig")
        True
    """
    module, _, name = target.rpartition(".")
    package, *below = module.split(".")
    if package != "verl":
        return ()
    place = Path(config_folder.folder()).parents[1].joinpath(*below)
    # A package re-exports what its modules define.
    files = sorted(place.glob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    statements = [statement for file in files if file.is_file() for statement in _statements(file)]
    origins = {
        alias.name: f"{statement.module}.{alias.name}"
        for statement in statements
        if isinstance(statement, ast.ImportFrom) and not statement.level
        for alias in statement.names
    }
    for statement in statements:
        if isinstance(statement, ast.ClassDef) and statement.name == name:
            bases = [base.id for base in statement.bases if isinstance(base, ast.Name)]
            inherited = [field for base in bases for field in fields_of(origins.get(base, f"{module}.{base}"))]
            own = [
                line.target.id
                for line in statement.body
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
            ]
            return tuple(dict.fromkeys([*inherited, *own]))
    return ()


@cache
def _statements(file: Path) -> list[ast.stmt]:
    return ast.parse(file.read_text(encoding="utf-8")).body
