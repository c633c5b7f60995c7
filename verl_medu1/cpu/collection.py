"""Less frequent garbage collection, for processes that import torch, transformers, verl and vLLM."""

import gc

# Python's default first threshold is 700. Importing creates millions of long-lived objects, which the collector visits
# again and again, and a run starts a dozen processes that import the same modules on two cores.
OBJECTS, YOUNG, MIDDLE = 50_000, 20, 100


def collect_seldom() -> None:
    """Raise the collector's thresholds in this process.

    On a GPU they stay at Python's defaults: a cycle that is collected late may hold a tensor of several GiB.
    """
    gc.set_threshold(OBJECTS, YOUNG, MIDDLE)
