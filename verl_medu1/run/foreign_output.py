"""Sends what other packages print to a log while a command uses them in its own process."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from verl_medu1.exit import ExitCode
from verl_medu1.run.relevant import relevant_lines


@contextmanager
def foreign_output_to(log: Path) -> Iterator[TextIO]:
    """Redirect to `log` what this process and its children print, output of native code included.

    An error in the body ends the command with the last relevant lines of the log and its path; the traceback is in the
    log. A ValueError is a mistake of the user's and is raised unchanged.

    Args:
        log: a file in an existing folder; it is overwritten.

    Yields:
        The command's own stderr, to which the body may write.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(descriptor) for descriptor in (1, 2)]
    failed = False
    with log.open("wb") as file, os.fdopen(os.dup(2), "w") as own:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
        try:
            yield own
        except ValueError:
            raise
        except Exception:
            traceback.print_exc()
            failed = True
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for descriptor, saved in zip((1, 2), kept, strict=True):
                os.dup2(saved, descriptor)
                os.close(saved)
    if failed:
        with log.open(errors="replace") as lines:
            print("\n".join(relevant_lines(lines)), file=sys.stderr)
        print(f"medu1: this failed; {log} has all that was printed.", file=sys.stderr)
        sys.exit(ExitCode.FAILED)
