"""The examples of all docstrings run."""

import doctest
import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import reward_score
import verl_medu1

# What runs when it is imported, or what only a machine of another kind imports.
LEFT_OUT = ("verl_medu1.verl_compat.__main__", "verl_medu1.evaluate.lm_eval_tasks")


def modules() -> Iterator[str]:
    """All our modules that can be imported anywhere."""
    for package in (reward_score, verl_medu1):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.startswith(LEFT_OUT) and not module.name.startswith("verl_medu1.cpu"):
                yield module.name


@pytest.mark.parametrize("name", sorted(modules()))
def test_the_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS).failed == 0


def test_there_are_many():
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [test for name in modules() for test in finder.find(importlib.import_module(name)) if test.examples]
    assert len(found) > 200
