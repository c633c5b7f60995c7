"""The lines of a log that say why a command failed."""

import re
from collections import deque
from collections.abc import Iterable

# Ray's mark of the process that printed a line, and colours.
_MARKS = re.compile(r"\x1b\[[0-9;]*m|^\((?:\w|::|:|\.)+ pid=\d+(?:, ip=[^)]*)?\) ?")
# What other packages print whatever happens: messages by level, warnings, progress bars, verl's steps.
_NOISE = re.compile(
    r"^\s*$|\b(?:INFO|WARNING|DEBUG)\b|Warning\b|warnings?\.warn|\d+%\||it/s\]|^step:\d+ - |^\[rank\d+\]:W"
)


def relevant_lines(lines: Iterable[str], number: int = 30) -> list[str]:
    """The last lines that are no noise, without Ray's marks; a line that several processes print stands once.

    Args:
        lines: of a log.
        number: at most so many.

    Example:
        >>> relevant_lines(["INFO all is well", "(TaskRunner pid=7) KeyError: 'acc'", "(W pid=8) KeyError: 'acc'"])
        ["KeyError: 'acc'"]
    """
    kept: deque[str] = deque(maxlen=number)
    for line in lines:
        # Of a progress bar the last state is what stands there.
        text = _MARKS.sub("", _MARKS.sub("", line.rstrip().rpartition("\r")[2]))
        if not _NOISE.search(text) and (not kept or text != kept[-1]):
            kept.append(text)
    return list(kept)
