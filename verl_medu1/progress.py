"""A run's last sign of life, in a file of its folder: it tells a slow run from a hung one."""

import json
import os
import time
from pathlib import Path

FILE_NAME = "progress.json"
# The phase in which a checkpoint is half written.
SAVE = "checkpoint"
# The phase of a run that has stopped on request before its last step (stop_request.py).
STOPPED = "stopped"


class Progress:
    """Writes and reads `<run_dir>/progress.json`: step, phase and time (seconds since the epoch).

    Example:
        >>> import tempfile
        >>> progress = Progress(tempfile.mkdtemp())
        >>> progress.report(3, "rollout")
        >>> progress.read()["phase"]
        'rollout'
    """

    def __init__(self, run_dir: str | Path) -> None:
        self.path = Path(run_dir) / FILE_NAME

    def report(self, step: int, phase: str) -> None:
        """Record that `phase` of `step` begins now. The file is replaced at once, never half written."""
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps({"step": step, "phase": phase, "time": time.time()}))
        os.replace(temporary, self.path)

    def read(self) -> dict[str, int | str | float]:
        """The last report."""
        return json.loads(self.path.read_text())
