"""How a training command starts: under a keeper, or directly if it only prints its configuration."""

import importlib
import os
import sys
from collections.abc import Sequence

from verl_medu1.run.keeper import keep

# With any of these Hydra prints something and does not train.
_SHOWN_BY_HYDRA = (
    "--hydra-help",
    "--version",
    "--cfg",
    "-c",
    "--info",
    "-i",
    "--shell-completion",
    "-sc",
)
VERBOSE = "--verbose"


def start(module: str, arguments: Sequence[str]) -> None:
    """Run the `drive` function of a module: in a driver process, with this process as its keeper, or in this process.

    Args:
        module: such as verl_medu1.run.train; `python -m` starts it as the driver.
        arguments: Hydra's, and --verbose.
    """
    verbose, arguments = VERBOSE in arguments, [each for each in arguments if each != VERBOSE]
    shows = any(each.partition("=")[0] in _SHOWN_BY_HYDRA for each in arguments)
    # torchrun manages its own processes. `medu1 train` starts a driver even if the machine has set RANK.
    under_torchrun = module == "verl_medu1.run.sft" and "RANK" in os.environ
    if not shows and not under_torchrun:
        sys.exit(keep([sys.executable, "-m", module, *arguments], verbose))
    sys.argv = [f"medu1 {module.rpartition('.')[2]}", *arguments]
    importlib.import_module(module).drive()
