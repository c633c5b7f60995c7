"""Imports in another process: what prints, crashes or hangs is told, and what comes after it is imported too."""

import sys

import pytest

from verl_medu1.machine import imports
from verl_medu1.machine.imports import import_failures


@pytest.fixture(autouse=True)
def modules(tmp_path, monkeypatch):
    """Four modules that the other process finds, and nothing remembered from another test."""
    texts = {
        "prints": "import os; print('[]'); os.system('echo []')",
        "crashes": "import os; os._exit(3)",
        "raises": "raise OSError('undefined symbol: x\\nmore')",
        "hangs": "import time; time.sleep(60)",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    imports._import_failures.cache_clear()
    yield
    imports._import_failures.cache_clear()


def test_each_module_has_its_own_answer():
    assert import_failures(["prints", "crashes", "raises", "json", "no_such"]) == {
        "crashes": "importing it ends the process with 3",
        "raises": "undefined symbol: x",
        "no_such": "No module named 'no_such'",
    }


def test_a_module_that_hangs_is_left(monkeypatch):
    monkeypatch.setattr(imports, "TIMEOUT_S", 3)
    assert import_failures(["hangs", "raises"]) == {"hangs": "not imported in 3 s", "raises": "undefined symbol: x"}


def test_a_python_that_does_not_start_is_told(tmp_path, monkeypatch):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 4\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    why = f"{broken} does not start"
    assert import_failures(["json", "raises"]) == {"json": why, "raises": why}


def test_a_full_temporary_folder_does_no_harm(monkeypatch):
    """Only what the machine has is asked here, also where a node's /tmp is full."""
    monkeypatch.setenv("TMPDIR", "/dev/full")
    monkeypatch.setattr("tempfile.tempdir", "/dev/full")
    assert import_failures(["json"]) == {}
