"""Python's garbage collector, less eager while a process imports torch, transformers, verl and vLLM."""

import gc

# Python's own first number is 700: importing makes millions of objects that stay, which it then visits again and again.
OBJECTS, YOUNG, MIDDLE = 50_000, 20, 100


def collect_seldom() -> None:
    """Set the collector's thresholds in this process.

    A run starts a dozen processes that import the same modules on two cores: their imports take a seventh to a third
    less so (`benchmarks/imports.py`). On a GPU a cycle that holds a tensor may hold gibibytes, so the thresholds stay.
    """
    gc.set_threshold(OBJECTS, YOUNG, MIDDLE)
