import doctest
import importlib
import pkgutil

import pytest

import reward_score

MODULES = ["reward_score", *(f"reward_score.{module.name}" for module in pkgutil.iter_modules(reward_score.__path__))]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
