"""One JSON file for each result, written at once: what a machine that goes away has answered stays answered."""

import json
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from verl_medu1.run_folder.whole_file import replace_file

STARTED, DONE, FAILED = "started", "done", "failed"


@dataclass
class Result:
    """What a step, or a run, has given.

    Attributes:
        name: of the step.
        status: STARTED until it ends, so that a step in which the process died can be told; then DONE or FAILED.
        seconds: that it took.
        figures: row of the table -> value.
        reasons: row -> why it has no value.
        facts: anything else worth keeping.
        error: the last line of the traceback of a step that failed.
    """

    name: str
    status: str = STARTED
    seconds: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    error: str = ""


def path_of(folder: Path, name: str) -> Path:
    """The file of a result."""
    return folder / f"{name}.json"


def write(folder: Path, result: Result) -> None:
    """Write a result, or replace it."""
    replace_file(path_of(folder, result.name), [json.dumps(asdict(result), indent=1), "\n"])


def read(folder: Path, name: str) -> Result | None:
    """A result that was written before; None if there is none."""
    path = path_of(folder, name)
    return Result(**json.loads(path.read_text())) if path.is_file() else None


def step(folder: Path, name: str, work: Callable[[Result], None], say: Callable[[str], None]) -> Result:
    """Do a step unless its result says that it is done; a step that failed is done again.

    Args:
        folder: of the results.
        name: of the step.
        work: does it, and fills the result.
        say: shows a line.

    Returns:
        The result. A step that raises has failed: its traceback goes to stderr, and its last line into the result.
    """
    found = read(folder, name)
    if found and found.status == DONE:
        say(f"{name}: done before, in {found.seconds:.0f} s")
        return found
    result = Result(name)
    write(folder, result)
    say(f"{name} ...")
    start = time.monotonic()
    try:
        work(result)
        result.status = DONE
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        result.status, result.error = FAILED, traceback.format_exception_only(error)[-1].strip()
    result.seconds = round(time.monotonic() - start, 1)
    write(folder, result)
    say(f"{name}: {result.status} in {result.seconds:.0f} s{f': {result.error}' if result.error else ''}")
    return result
