"""The list of what is taken from verl: complete, true of the installed packages, and told where it is not."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from verl_medu1.verl_compat.look import missing
from verl_medu1.verl_compat.page import page
from verl_medu1.verl_compat.table import EXTENDED, TAKEN, Entry

ROOT = Path(__file__).resolve().parents[2]
THEIRS = """
class Buffer:
    limit = 3
    def __init__(self):
        self.failed = {}
    def take(self): ...
def run(): ...
"""


def test_all_of_it_is_in_the_installed_packages():
    assert list(missing()) == []


@pytest.mark.parametrize("there", ["Buffer", "Buffer.limit", "Buffer.failed", "Buffer.take", "run"])
@pytest.mark.parametrize("gone", ["Buffer.gone", "Other.take", "gone"])
def test_a_symbol_is_found_by_its_name(tmp_path, there, gone):
    (tmp_path / "file.py").write_text(THEIRS)
    entries = [Entry("verl", "file.py", symbol, "ours.py", "", "") for symbol in (there, gone)]
    sentence = f"verl has no {gone} in file.py any more, which ours.py takes."
    assert list(missing(entries, {"verl": tmp_path})) == [sentence]


def test_a_file_and_a_package_that_are_gone(tmp_path):
    entry = Entry("verl", "gone.py", "run", "ours.py", "", "")
    assert list(missing([entry], {"verl": tmp_path})) == ["verl has no gone.py any more, of which ours.py takes run."]
    entry = Entry("no_such_package", "gone.py", "run", "ours.py", "", "")
    assert list(missing([entry])) == ["no_such_package is not installed; ours.py takes run from its gone.py."]


def test_each_entry_names_a_file_of_ours_and_a_test():
    for entry in (*TAKEN, *EXTENDED):
        assert (ROOT / "verl_medu1" / entry.ours).is_file(), entry
        assert (ROOT / entry.test).is_file(), entry
        assert entry.why


def test_each_class_with_an_overridden_method_is_in_the_table():
    with_overrides = {
        str(file.relative_to(ROOT / "verl_medu1"))
        for file in (ROOT / "verl_medu1").rglob("*.py")
        if re.search(r"^from verl\..*^ +@override$", file.read_text(), re.M | re.S)
    }
    assert with_overrides == {each.ours for each in EXTENDED}


def test_each_private_name_of_another_package_is_in_the_table():
    """Imports of private modules and names, and private attributes that are replaced in foreign objects."""
    ours = {entry.ours for entry in TAKEN}
    for file in (ROOT / "verl_medu1").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.ImportFrom) or (node.module or "").startswith("verl_medu1"):
                continue
            parts = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            if any(re.match(r"_[a-zA-Z]", part) for part in parts):
                assert str(file.relative_to(ROOT / "verl_medu1")) in ours, (file, parts)


def test_the_page_is_that_of_the_table():
    assert (ROOT / "docs" / "verl-compat.md").read_text() == page()


def test_another_verl_is_told_by_what_it_breaks(tmp_path):
    """A folder with nothing in it breaks all; the exit code says so."""
    (tmp_path / "verl").mkdir()
    (tmp_path / "verl" / "__init__.py").touch()
    command = [sys.executable, "-m", "verl_medu1.verl_compat", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert (
        "verl has no trainer/ppo/v1/trainer_base.py any more, which verl_medu1/training/trainer.py extends."
        in done.stdout
    )
