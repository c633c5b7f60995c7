"""How a training command begins: kept, or by itself where it only shows its configuration."""

import importlib
import os
import sys
from collections.abc import Sequence

from verl_medu1.run.keeper import keep

# With these Hydra prints something and trains nothing.
_SHOWN_BY_HYDRA = (
    "--help",
    "-h",
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
    """Run the `drive` of a module: in a driver of its own, of which this process is the keeper, or here.

    Args:
        module: such as verl_medu1.run.train; `python -m` starts it as driver.
        arguments: Hydra's, and --verbose.
    """
    verbose, arguments = VERBOSE in arguments, [each for each in arguments if each != VERBOSE]
    shows = any(each.partition("=")[0] in _SHOWN_BY_HYDRA for each in arguments)
    # torchrun keeps its processes itself; `medu1 train` starts its own, whatever the machine has set.
    under_torchrun = module == "verl_medu1.run.sft" and "RANK" in os.environ
    if not shows and not under_torchrun:
        sys.exit(keep([sys.executable, "-m", module, *arguments], verbose))
    sys.argv = [f"medu1 {module.rpartition('.')[2]}", *arguments]
    importlib.import_module(module).drive()
