"""How a command ends: the exit codes, and what is wrong, in one sentence for each problem."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """All exit codes of this package except 0, and 128 + N for signal N. slurm/lib/common.sh repeats those it needs."""

    FAILED = 1  # an error in the program, with a traceback, or a check that did not pass
    MISTAKE = 2  # the user's mistake: one sentence, and nothing was started
    STALLED = 3  # no progress for watchdog.timeout_s
    PART_DIED = 4  # a process of the run died
    DISK_FULL = 5  # a write failed because the disk is full
    LOST = 70  # a node of the job was lost, or never joined
    GIVEN_UP = 71  # the job has already been queued again as often as allowed
    STOPPED = 85  # stopped on request with a checkpoint; slurm/job.sh queues the job again


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr)


_tell: Callable[[str], None] = _to_stderr


def say_through(tell: Callable[[str], None]) -> None:
    """Make `say` use `tell` instead of stderr: a driver's stderr is a log, and its keeper shows the user the line."""
    global _tell
    _tell = tell


def say(text: str) -> None:
    """Show the user a line."""
    _tell(text)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. A check whose callers need only the sentence yields a `str` instead.

    Attributes:
        about: what it is about: a configuration key, or a column of the preflight's table.
        sentence: names the key and its value, or the node, and the way out.
        host: the node that has the problem; empty if it is not about a node.

    Example:
        >>> str(Problem("trainer.nnodes", "trainer.nnodes is 0; give at least 1."))
        'trainer.nnodes is 0; give at least 1.'
    """

    about: str
    sentence: str
    host: str = ""

    def __str__(self) -> str:
        return self.sentence


def raise_all(problems: Iterable[Problem | str]) -> None:
    """Raise a ValueError that tells all problems, if there is one; `in_one_sentence` shows a line for each.

    Example:
        >>> raise_all([])
    """
    if sentences := [str(problem) for problem in problems]:
        raise ValueError("\nmedu1: ".join(sentences))


@contextmanager
def in_one_sentence() -> Iterator[None]:
    """Turn a ValueError in the body into one line for the user and exit code 2, instead of a traceback.

    Only for code that runs before anything is started: an error in the training itself keeps its traceback.
    """
    try:
        yield
    except ValueError as error:
        say(f"medu1: {error}")
        sys.exit(ExitCode.MISTAKE)
