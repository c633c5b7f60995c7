"""A request to stop a run after its current step, with a checkpoint: a file, for the trainer is another process.

Slurm's job script makes the file when it is warned of the time limit or of preemption, `medu1 train` when it is sent
SIGUSR1. The trainer looks for it at the end of each step.
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
        """Whether the run is asked to stop; the request is met by that, and a resumed run goes on."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        return True

    def make_on_signal(self) -> None:
        """From now on SIGUSR1 makes the request."""
        signal.signal(signal.SIGUSR1, lambda *_: self.make())
