"""What a driver tells its keeper: messages for the user, and where the run is. `keep` starts the driver."""

import ctypes
import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from verl_medu1.exit import say_through
from verl_medu1.run.tidy import adopt_orphans, clear_shared_memory, clear_temporary, end_descendants
from verl_medu1.run_folder.attempts import this_attempt
from verl_medu1.run_folder.checkpoints import remove_half_written
from verl_medu1.run_folder.names import CONSOLE_LOG, METRICS
from verl_medu1.run_folder.progress import SAVE, Progress

# Tells the driver, as JSON, the keeper's process ID, the file descriptor to write to and the run's temporary folder.
VARIABLE = "MEDU1_KEEPER"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True)
class Run:
    """What the keeper needs to know about a run.

    Attributes:
        run_dir: its folder.
        checkpoints: the folder of its checkpoints.
        steps: how many steps it takes; None if only the trainer knows.
        has_progress: whether its trainer reports phases to progress.json.
        prometheus_port: where the keeper serves the metrics; None for not at all.
    """

    run_dir: str
    checkpoints: str
    steps: int | None = None
    has_progress: bool = True
    prometheus_port: int | None = None


class Channel:
    """The driver's end of the pipe to its keeper."""

    def __init__(self, keeper: int, descriptor: int, temporary: str) -> None:
        self.temporary = Path(temporary)
        self._keeper, self._descriptor = keeper, descriptor
        self._run: Run | None = None

    def keeper_is_gone(self) -> bool:
        """Return whether the keeper was killed, in which case the driver has to clean up by itself."""
        return os.getppid() != self._keeper

    def tidy_without_keeper(self) -> None:
        """If the keeper was killed, do the cleanup that it would have done after the driver's end."""
        if not self.keeper_is_gone():
            return
        end_descendants()
        clear_shared_memory()
        if self._run and self._run.has_progress:
            with suppress(OSError, ValueError):  # the folder is gone, so nothing in it is half written
                last = Progress(self._run.run_dir).read()
                if last["phase"] == SAVE:
                    remove_half_written(Path(self._run.checkpoints), int(last["step"]))
        clear_temporary(self.temporary, Path(self._run.run_dir) if self._run else None, self.say)

    def leave_without_keeper(self, number: int, _: object) -> None:
        """Handle SIGTERM until the run sets its own handler: end as by default, but clean up if the keeper is gone."""
        signal.signal(number, signal.SIG_IGN)
        self.tidy_without_keeper()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def say(self, text: str) -> None:
        """Show the user a line."""
        self._send({"say": text})

    def end_ray(self) -> None:
        """Tell the keeper that Ray's processes end on purpose from now on.

        ray.shutdown waits a second for each and leaves one that takes longer to die as a zombie.
        """
        self._send({"ray_ends": True})

    def announce(self, run: Run) -> None:
        """Tell the keeper where the run is, and log to `run_dir/logs/console.log` from now on.

        What was printed before is copied there too. Each start appends to the file, below a line with the time and, in
        a job, the attempt.
        """
        log = Path(run.run_dir) / CONSOLE_LOG
        log.parent.mkdir(parents=True, exist_ok=True)
        (Path(run.run_dir) / METRICS).unlink(missing_ok=True)  # from an earlier start
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        begun = " ".join(["====", datetime.now().isoformat(timespec="seconds"), *_attempt()])
        with log.open("ab") as file:
            file.write(begun.encode() + b"\n" + (self.temporary / CONSOLE_LOG.name).read_bytes())
            file.flush()
            for descriptor in (1, 2):
                os.dup2(file.fileno(), descriptor)
        self._run = run
        self._send({"run": asdict(run)})

    def _send(self, message: dict[str, object]) -> None:
        with suppress(BrokenPipeError):  # the keeper is gone
            os.write(self._descriptor, json.dumps(message).encode() + b"\n")


def _attempt() -> list[str]:
    folder = this_attempt()
    return ["attempt", folder.name] if folder else []


_channel: Channel | None = None


def connect() -> Channel | None:
    """Return the channel to the keeper that started this process; None if it was not started by one.

    After the first call, the kernel sends this process SIGTERM when the keeper dies, and orphaned descendants become
    its children, so that it can find and end them (`verl_medu1.run.tidy`).
    """
    global _channel
    told = os.environ.pop(VARIABLE, None)  # child processes must not take the keeper for theirs
    if told:
        _channel = Channel(**json.loads(told))
        os.set_inheritable(_channel._descriptor, False)
        adopt_orphans()
        say_through(_channel.say)
        signal.signal(signal.SIGTERM, _channel.leave_without_keeper)
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if _channel.keeper_is_gone():  # it died before the call of prctl
            _channel.tidy_without_keeper()
            os._exit(128 + signal.SIGTERM)
    return _channel
