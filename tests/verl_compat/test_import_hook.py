"""Code around the first import of a module."""

import sys
from contextlib import contextmanager

import pytest

from verl_medu1.verl_compat.import_hook import around_import


def test_the_hook_runs_around_the_import(tmp_path, monkeypatch):
    (tmp_path / "hooked_module.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    seen = []

    @contextmanager
    def around(module):
        seen.append(hasattr(module, "value"))
        yield
        seen.append(module.value)
        module.value = 2

    around_import("hooked_module", around)
    import hooked_module

    assert seen == [False, 1]
    assert hooked_module.value == 2


def test_a_module_that_is_imported_already_is_refused():
    with pytest.raises(RuntimeError, match="sys was imported before"):
        around_import("sys", lambda module: None)
