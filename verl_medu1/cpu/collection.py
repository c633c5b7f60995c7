"""Python's garbage collector, less eager while a process imports torch, transformers, verl and vLLM."""

import gc

# Python's own first number is 700. Importing makes millions of objects that stay, which it visits again and again, and
# a run starts a dozen processes that import the same modules on two cores.
OBJECTS, YOUNG, MIDDLE = 50_000, 20, 100


def collect_seldom() -> None:
    """Set the collector's thresholds in this process.

    On a GPU they stay as they are: a cycle that is collected late may hold a tensor of gibibytes.
    """
    gc.set_threshold(OBJECTS, YOUNG, MIDDLE)
