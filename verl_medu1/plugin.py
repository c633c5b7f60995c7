"""The `verl.plugins` entry point: verl imports this module in each process that imports verl.

It stays tiny and imports nothing large: our trainers are registered when verl's own are imported, each run gets a
socket of its own for new weights, answers go into verl's queue in groups, log-probabilities are taken in one call,
a validation's alike questions are resampled once, Transformer Engine finds its own libraries, and the CPU support is
installed only on a machine without an accelerator.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from verl_medu1.machine.accelerator import has_accelerator
from verl_medu1.verl_compat import grouped_puts, log_probs, resampling, te_libraries, weight_socket
from verl_medu1.verl_compat.import_hook import around_import


# verl takes a trainer by the name it is registered under, and its task runner, which looks the name up, is a Ray actor
# that can't be subclassed.
@contextmanager
def _register_trainer(_module: ModuleType) -> Iterator[None]:
    yield
    import verl_medu1.training.trainer  # noqa: F401  (registers itself)


def _install() -> None:
    around_import("verl.trainer.ppo.v1", _register_trainer)
    weight_socket.install()
    grouped_puts.install()
    log_probs.install()
    resampling.install()
    te_libraries.install()
    if not has_accelerator():
        from verl_medu1 import cpu

        cpu.install()


try:
    _install()
except Exception:
    # verl tells it at the level debug only, and goes on without the plugin (verl/__init__.py).
    logging.getLogger(__name__).exception("verl's plugin medu1 can't be loaded, and verl runs without it:")
    raise
