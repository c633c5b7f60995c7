"""Imports modules in another process, and tells which can't be: what is installed may be broken."""

import json
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

TIMEOUT_S = 300
# Writes a line before and after each import, so that the module that ends the process is known.
_CHILD = """
import importlib, json, sys
with open(sys.argv[1], "w", buffering=1) as out:
    for module in sys.argv[2:]:
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
        with TemporaryDirectory() as folder:
            report = Path(folder) / "report"
            command = [sys.executable, "-c", _CHILD, str(report), *waiting]
            try:
                ended = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S).returncode
                why = f"importing it ends the process with {ended}"
            except subprocess.TimeoutExpired:
                why = f"not imported in {TIMEOUT_S} s"
            said = dict(json.loads(line) for line in report.read_text().splitlines())
        found |= {module: why if error is None else error for module, error in said.items() if error != ""}
        waiting = [module for module in waiting if module not in said]
    return found
