"""Imports modules in another process, and tells which can't be: what is installed may be broken."""

import json
import subprocess
import sys
from collections.abc import Sequence
from functools import cache

TIMEOUT_S = 300
# Transformer Engine is imported as a training does it. A line is written before and after each import, so that the
# module that ends the process is known. What a module prints goes to stderr.
_CHILD = """
import importlib, json, os, sys
from verl_medu1.verl_compat import te_libraries
te_libraries.install()
with os.fdopen(os.dup(1), "w", buffering=1) as out:
    os.dup2(2, 1)
    for module in sys.argv[1:]:
        print(json.dumps([module, None]), file=out)
        try:
            importlib.import_module(module)
            said = ""
        except BaseException as error:
            said = (str(error).strip().splitlines() or [repr(error)])[0]
        print(json.dumps([module, said]), file=out)
"""


def import_failures(modules: Sequence[str]) -> dict[str, str]:
    """Import modules one after the other in another process, in which a crash or a print does no harm.

    Returns:
        The first line of the error of each module that can't be imported.

    Example:
        >>> import_failures(["json", "no_such_module"])
        {'no_such_module': "No module named 'no_such_module'"}
    """
    return dict(_import_failures(tuple(modules)))


@cache
def _import_failures(modules: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        command = [sys.executable, "-c", _CHILD, *waiting]
        try:
            done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S)
            report, why = done.stdout, f"importing it ends the process with {done.returncode}"
        except subprocess.TimeoutExpired as late:
            report, why = late.stdout or b"", f"not imported in {TIMEOUT_S} s"
        said = dict(json.loads(line) for line in report.splitlines())
        if not said:
            return found | dict.fromkeys(waiting, f"{sys.executable} does not start")
        found |= {module: why if error is None else error for module, error in said.items() if error != ""}
        waiting = [module for module in waiting if module not in said]
    return found
