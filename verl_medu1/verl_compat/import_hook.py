"""Runs code around the first import of a named module; costs nothing if that import never happens."""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

Around = Callable[[ModuleType], AbstractContextManager[None]]


class _Loader(importlib.abc.Loader):
    def __init__(self, inner: Any, around: Around) -> None:
        self._inner = inner
        self._around = around

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        with self._around(module):
            self._inner.exec_module(module)

    def __getattr__(self, name: str) -> Any:  # get_source, get_filename, ...: inspect and pickle call these
        return getattr(self._inner, name)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, name: str, around: Around) -> None:
        self._name = name
        self._around = around

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._around)
        return spec


def around_import(name: str, around: Around) -> None:
    """Enter `around(module)` while module `name` is executed for the first time.

    Args:
        name: full name of the module, which must not be imported yet.
        around: takes the (still empty) module; the code before its `yield` runs before the module's own, the code after
            it once the module is complete.

    Raises:
        RuntimeError: the module is already imported, so the hook would never run.

    Example:
        >>> from contextlib import contextmanager
        >>> @contextmanager
        ... def tell(module):
        ...     yield
        ...     print(module.__name__)
        >>> around_import("this_module_is_imported_later", tell)
    """
    if name in sys.modules:
        raise RuntimeError(f"{name} was imported before its hook was set")
    sys.meta_path.insert(0, _Finder(name, around))
