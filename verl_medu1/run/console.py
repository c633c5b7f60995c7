"""What the user sees during a run: a live line on a terminal, otherwise a short line per step."""

import io
import statistics
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

from rich.console import Console as Terminal
from rich.live import Live
from rich.text import Text

from verl_medu1.run.channel import Run
from verl_medu1.run.steps import minutes, read_step, step_line
from verl_medu1.run.tail import Tail
from verl_medu1.run_folder.progress import Progress

# Lines printed in total for a warm-up without a terminal: its steps take a fraction of a second.
SUPERVISED_LINES = 5


class Console:
    """The keeper's output: steps go to stdout, messages to stderr. If neither can be written, the run continues.

    Args:
        verbose: show the driver's log too.
    """

    def __init__(self, verbose: bool) -> None:
        self._verbose = verbose
        if isinstance(sys.stdout, io.TextIOWrapper):  # stderr does so by default
            sys.stdout.reconfigure(errors="backslashreplace")
        self._terminal = Terminal(highlight=False)
        self._live: Live | None = None
        self._run: Run | None = None
        self._seconds: deque[float] = deque(maxlen=10)
        self._first: tuple[int, float] | None = None
        self._last_seen = time.monotonic()
        self.has_said = False

    def say(self, text: str) -> None:
        """Print a message above the live line."""
        self.has_said = True
        self._write(text, to_stderr=True)

    def follow(self, log: Path, metrics: Path, run: Run) -> None:
        """Show this run from now on; it may be another start of the one that was shown."""
        if self._live:
            self._live.stop()
        self._run, self._metrics, self._last_seen = run, Tail(metrics), time.monotonic()
        self._log = Tail(log, log.stat().st_size)
        self._write(f"All output: {log}")
        if self._terminal.is_terminal and not self._verbose:
            self._live = Live(Text("starting"), console=self._terminal, transient=True, refresh_per_second=2)
            self._live.start()
        self._shown = "starting"

    def look(self) -> None:
        """Show what is new since the last call."""
        if not self._run:
            return
        if self._verbose:
            for line in self._log.lines():
                self._write(line)
        progress = Progress(self._run.run_dir).read() if self._run.has_progress else {}
        for line in self._metrics.lines():
            self._step(line, self._run.steps or progress.get("steps"))
        if self._live:
            waited = minutes(time.monotonic() - self._last_seen)
            self._live.update(Text(f"{self._shown}  [{progress.get('phase', 'training')}, {waited}]"))

    def _step(self, line: str, steps: object) -> None:
        step, metrics = read_step(line)
        whole = int(str(steps)) if steps else None
        self._last_seen = time.monotonic()
        self._first = self._first or (step, self._last_seen)
        if (seconds := metrics.get("timing_s/step")) is not None:
            self._seconds.append(seconds)
        each = self._seconds_of_a_step(step)
        left = (whole - step) * each if whole and each is not None else None
        self._shown = step_line(step, whole, metrics, left)
        every = 1 if self._run and self._run.has_progress else max(1, (whole or 0) // SUPERVISED_LINES)
        if not self._live and (step % every == 0 or step == whole):
            self._write(self._shown)

    def _seconds_of_a_step(self, step: int) -> float | None:
        if self._seconds:
            return statistics.median(self._seconds)
        # verl's SFT trainer does not time its steps.
        first, at = self._first or (step, self._last_seen)
        return (self._last_seen - at) / (step - first) if step > first else None

    def _write(self, text: str, to_stderr: bool = False) -> None:
        try:
            if self._live and (not to_stderr or sys.stderr.isatty()):
                self._live.console.print(Text(text))
            else:
                print(text, file=sys.stderr if to_stderr else sys.stdout, flush=True)
        except OSError:  # the terminal or the pipe is gone
            pass

    def close(self) -> None:
        """Leave the last state of the live line on the terminal."""
        if self._live:
            live, self._live = self._live, None
            with suppress(OSError):  # as in _write
                live.stop()
            self._write(self._shown)
