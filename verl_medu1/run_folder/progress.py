"""A run's current step and phase, in a file of its folder: they tell a slow run from a stalled one."""

import json
import time
from pathlib import Path
from typing import Any

from verl_medu1.run_folder.whole_file import replace_file

FILE_NAME = "progress.json"
# The phase in which a checkpoint is being written.
SAVE = "checkpoint"
# The phase of a run that stopped on request before its last step (stop_request.py).
STOPPED = "stopped"


class Progress:
    """Writes and reads `<run_dir>/progress.json`: step, phase, time (seconds since the epoch) and the number of steps.

    Attributes:
        path: the file.
        steps: how many steps the run takes, once known.

    Example:
        >>> import tempfile
        >>> progress = Progress(tempfile.mkdtemp())
        >>> progress.report(3, "rollout")
        >>> progress.read()["phase"]
        'rollout'
    """

    def __init__(self, run_dir: str | Path) -> None:
        self.path = Path(run_dir) / FILE_NAME
        self.steps: int | None = None

    def report(self, step: int, phase: str) -> None:
        """Record that `phase` of `step` begins now. The file is replaced atomically."""
        report = {"step": step, "phase": phase, "time": time.time(), "steps": self.steps}
        replace_file(self.path, [json.dumps(report)])

    def read(self) -> dict[str, Any]:
        """Return the last report."""
        return json.loads(self.path.read_text())
