"""How a user's mistake is told."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from verl_medu1.run.channel import say

EXIT_MISTAKE = 2


@contextmanager
def in_one_sentence() -> Iterator[None]:
    """A ValueError of the body becomes one line on stderr and exit code 2, instead of a traceback.

    Only for what runs before anything is started: an error of the training itself keeps its traceback.
    """
    try:
        yield
    except ValueError as error:
        say(f"medu1: {error}")
        sys.exit(EXIT_MISTAKE)
