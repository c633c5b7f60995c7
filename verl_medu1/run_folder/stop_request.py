"""A request to stop a run after its current step, with a checkpoint: a file, because the trainer is another process.

The Slurm job script creates the file when Slurm warns it of the time limit or of preemption; `medu1 train` creates it
on SIGUSR1. The trainer looks for it at the end of each step.
"""

import signal
from pathlib import Path

FILE_NAME = "stop_requested"


class StopRequest:
    """The request in a run's folder.

    Example:
        >>> import tempfile
        >>> request = StopRequest(tempfile.mkdtemp())
        >>> request.make()
        >>> request.take(), request.take()
        (True, False)
    """

    def __init__(self, run_dir: str | Path) -> None:
        self.path = Path(run_dir) / FILE_NAME

    def make(self) -> None:
        """Ask the run to stop."""
        self.path.touch()

    def take(self) -> bool:
        """Return whether a stop was requested, and remove the request, so that a resumed run does not stop again."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        return True

    def make_on_signal(self) -> None:
        """Make the request whenever this process receives SIGUSR1."""
        signal.signal(signal.SIGUSR1, lambda *_: self.make())
