"""Finds the lines of a log that say why a command failed."""

import re
from collections import deque
from collections.abc import Iterable

# Ray's prefix naming the process that printed a line, and colours.
_MARKS = re.compile(r"\x1b\[[0-9;]*m|^\((?:\w|::|:|\.)+ pid=\d+(?:, ip=[^)]*)?\) ?")
# What other packages print even when nothing fails: log messages, warnings, progress bars, verl's steps.
_NOISE = re.compile(
    r"^\s*$|\b(?:INFO|WARNING|DEBUG)\b|Warning\b|warnings?\.warn|\d+%\||it/s\]|^step:\d+ - |^\[rank\d+\]:W"
)


def relevant_lines(lines: Iterable[str], number: int = 30) -> list[str]:
    """Return the last lines that are not noise, without Ray's prefixes; a line repeated in a row appears once.

    Args:
        lines: lines of a log.
        number: the most lines to return.

    Example:
        >>> relevant_lines(["INFO all is well", "(TaskRunner pid=7) KeyError: 'acc'", "(W pid=8) KeyError: 'acc'"])
        ["KeyError: 'acc'"]
    """
    kept: deque[str] = deque(maxlen=number)
    for line in lines:
        # Keep only the last state of a progress bar.
        text = _MARKS.sub("", _MARKS.sub("", line.rstrip().rpartition("\r")[2]))
        if not _NOISE.search(text) and (not kept or text != kept[-1]):
            kept.append(text)
    return list(kept)
