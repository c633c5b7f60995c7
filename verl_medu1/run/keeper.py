"""The keeper of a run: the process that starts the driver, shows its progress, and outlives it.

The driver composes the configuration, checks it and trains. The keeper is its parent and a child subreaper, so it
inherits every process that the driver leaves behind, however the driver dies, and ends them. The keeper imports neither
torch nor verl.
"""

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from verl_medu1.exit import ExitCode
from verl_medu1.run.channel import VARIABLE, Run
from verl_medu1.run.console import Console
from verl_medu1.run.parts import dead_child
from verl_medu1.run.relevant import relevant_lines
from verl_medu1.run.tidy import adopt_orphans, clear_shared_memory, clear_temporary, end_descendants
from verl_medu1.run_folder.checkpoints import remove_half_written, way_on
from verl_medu1.run_folder.names import CONSOLE_LOG, METRICS
from verl_medu1.run_folder.progress import SAVE, Progress

# Exit codes that need no explanation: finished, stopped on request, ended by Ctrl-C or SIGTERM.
QUIET = (0, ExitCode.STOPPED, 128 + signal.SIGINT, 128 + signal.SIGTERM)
LOOK_INTERVAL_S = 0.5
# Seconds between the signal that tells the driver to end and SIGKILL.
PATIENCE_S = 30.0
# Seconds between two looks at Ray's processes, and those that a driver gets to notice itself that one is dead.
RAY_INTERVAL_S, NOTICE_S = 2.0, 5.0
# The path of a socket may have 107 characters, and the names that Ray and vLLM append take up to 75 of them.
LONGEST_FOLDER = 30
# Starts of a run whose Ray did not come up in the time that Ray gives itself.
STARTS = 3
# Only this many bytes at the end of a log are read.
LONGEST_END = 2**20


def keep(command: Sequence[str], verbose: bool = False) -> int:
    """Run a driver to its end, then end whatever it leaves behind.

    SIGINT, SIGTERM, SIGHUP and SIGUSR1 are passed on to the driver. If this process is killed, the kernel notifies the
    driver (`verl_medu1.run.channel`), which then cleans up by itself.

    Args:
        command: the driver's command line; the driver calls `verl_medu1.run.channel.connect`.
        verbose: show the driver's whole output too.

    Returns:
        The driver's exit code, or `ExitCode.PART_DIED` if it was killed.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:  # some services start programs with these closed; the pipe below would take the free number
            os.open(os.devnull, os.O_RDWR)
    return _Keeper(command, verbose).run()


def ray_was_too_slow(temporary: Path) -> bool:
    """Whether Ray's raylet ended because the node's helper processes did not start within 15 seconds.

    Works around Ray's issue 65983: the raylet waits no longer for the files in which they tell their ports, and no
    setting changes that. It happens on a busy machine, and where Python's modules are read from a slow disk.

    Args:
        temporary: Ray's folder.
    """
    logs = temporary.glob("session_2*/logs/raylet.err")
    return any("Timed out waiting for file" in log.read_text(errors="replace") for log in logs)


def temporary_folder() -> Path:
    """Make a folder for the sockets of a run's processes; in /tmp if the system's temporary path is too long."""
    system = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="medu1-", dir=system if len(system) <= LONGEST_FOLDER else "/tmp"))


class _Keeper:
    def __init__(self, command: Sequence[str], verbose: bool) -> None:
        adopt_orphans()
        self._command = command
        self._console = Console(verbose)
        self._told_to_end: float | None = None
        self._stop_asked = False
        self._serves_metrics = False
        self._blind = ""
        self._driver: subprocess.Popen[bytes] | None = None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
                signal.signal(number, self._pass_on)

    def _start(self) -> None:
        """Start the driver, in a temporary folder of its own."""
        self._temporary = temporary_folder()
        self._run: Run | None = None
        self._next_look_at_ray = 0.0
        self._dead: str | None = None  # the child of the driver that was dead at the last look, and since when
        self._dead_since = 0.0
        self._ray_ends = False
        self._messages, descriptor = os.pipe()
        self._partial = b""
        told = {"keeper": os.getpid(), "descriptor": descriptor, "temporary": str(self._temporary)}
        self._log = self._temporary / CONSOLE_LOG.name
        with self._log.open("wb") as log:
            # In a session of its own, so that a signal from the terminal does not also reach the driver directly.
            self._driver = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | {VARIABLE: json.dumps(told), "PYTHONUNBUFFERED": "1"},
                pass_fds=[descriptor],
                start_new_session=True,
            )
        os.close(descriptor)
        if self._told_to_end is not None:  # the signal came before there was a driver
            self._driver.terminate()

    def _pass_on(self, number: int, _: object) -> None:
        if number == signal.SIGUSR1:
            self._stop_asked = True
            if self._driver and self._run:  # before that the driver has no handler
                self._driver.send_signal(number)
            return
        if self._told_to_end is None:
            self._told_to_end = time.monotonic()
            if self._driver:
                self._driver.send_signal(signal.SIGTERM if number == signal.SIGHUP else number)

    def run(self) -> int:
        """Run the driver, again if its Ray was too slow to start, and return its exit code."""
        try:
            for starts_left in reversed(range(STARTS)):
                self._start()
                if (code := self._wait_for_the_end(bool(starts_left))) is not None:
                    break
        finally:
            self._console.close()
        assert code is not None, "the last start is not followed by another"
        return code

    def _wait_for_the_end(self, may_start_again: bool) -> int | None:
        """Wait until the driver has ended, and return its exit code; None if it is to be started again."""
        assert self._driver
        ended = os.pidfd_open(self._driver.pid)
        try:
            while not self._wait(ended):
                if self._told_to_end and time.monotonic() - self._told_to_end > PATIENCE_S:
                    self._driver.kill()
                if self._driver_waits_for_the_dead():
                    self._driver.kill()
        except BaseException:  # a bug of ours must not leave processes running
            self._driver.kill()
            self._driver.wait()
            end_descendants()
            raise
        code = self._driver.wait()
        self._read_messages()
        os.close(ended)
        os.close(self._messages)
        given_up = end_descendants()
        clear_shared_memory()
        if self._told_to_end is not None:
            return self._end(128 - code if code < 0 else code, self._driver.pid, given_up)
        if may_start_again and code not in QUIET and ray_was_too_slow(self._temporary):
            self._console.say("medu1: Ray did not come up within the 15 seconds it has; the run is started again.")
            clear_temporary(self._temporary, None, self._console.say)
            return None
        return self._end(code, self._driver.pid, given_up)

    def _wait(self, ended: int) -> bool:
        """Show what is new and return whether the driver has ended."""
        ready, _, _ = select.select([ended, self._messages], [], [], LOOK_INTERVAL_S)
        if self._messages in ready:
            self._read_messages()
        self._look()
        return ended in ready

    def _driver_waits_for_the_dead(self) -> bool:
        """Return whether a child that the driver needs is dead, and the driver has not noticed it for a while.

        ray.init waits for Ray's first process in C, with Python's lock held, so that the driver's own watch can't look.
        """
        now = time.monotonic()
        if self._driver and not self._ray_ends and now >= self._next_look_at_ray:
            self._next_look_at_ray = now + RAY_INTERVAL_S
            before, self._dead = self._dead, dead_child(self._driver.pid)
            if self._dead != before:
                self._dead_since = now
        return self._dead is not None and now - self._dead_since > NOTICE_S

    def _look(self) -> None:
        """Show what is new. A failure to show it (a full or missing disk) does not end the run."""
        try:
            self._console.look()
        except Exception as error:
            if self._blind != (blind := repr(error)):
                self._blind = blind
                self._console.say(f"medu1: the progress of the run can't be shown: {blind}")

    def _read_messages(self) -> None:
        while select.select([self._messages], [], [], 0)[0] and (read := os.read(self._messages, 65536)):
            *lines, self._partial = (self._partial + read).split(b"\n")
            for line in lines:
                message = json.loads(line)
                if "say" in message:
                    self._console.say(message["say"])
                elif "ray_ends" in message:
                    self._ray_ends, self._dead = True, None
                else:
                    self._run = Run(**message["run"])
                    folder = Path(self._run.run_dir)
                    self._log = folder / CONSOLE_LOG
                    self._console.follow(self._log, folder / METRICS, self._run)
                    self._serve_metrics(folder / METRICS, self._run.prometheus_port)
                    if self._stop_asked and self._driver:  # the request came before the driver had a handler
                        self._driver.send_signal(signal.SIGUSR1)

    def _serve_metrics(self, file: Path, port: int | None) -> None:
        """Serve the metrics if the run has a port for that, which its checks found free; our own end frees it."""
        if port is None or self._serves_metrics:
            return
        self._serves_metrics = True
        from verl_medu1.run.prometheus import serve

        try:
            serve(file, port)
        except OSError as error:
            self._console.say(
                f"medu1: prometheus.port is {port}, and nothing can listen there now ({error.strerror}); the run goes "
                "on, and its metrics are not served."
            )

    def _end(self, code: int, driver: int, given_up: int) -> int:
        failed = code not in QUIET
        self._look()
        try:
            self._explain(code, driver, failed)
        except (OSError, ValueError) as error:  # the run's folder was removed, or its disk is gone
            self._console.say(f"medu1: the end of the run can't be explained: {error}")
        if given_up:
            self._console.say(f"medu1: {given_up} processes of the run can't be ended; the kernel holds them.")
        clear_temporary(self._temporary, Path(self._run.run_dir) if self._run and failed else None, self._console.say)
        return ExitCode.PART_DIED if code < 0 else code

    def _explain(self, code: int, driver: int, failed: bool) -> None:
        if self._run:
            run_dir, checkpoints = Path(self._run.run_dir), Path(self._run.checkpoints)
            if code < 0:
                what = self._dead or f"driver (process {driver}) died, killed or crashed"
                self._console.say(f"medu1: {what}; {way_on(checkpoints)}.")
            last = Progress(run_dir).read() if self._run.has_progress else {}
            if code and last.get("phase") == SAVE:
                remove_half_written(checkpoints, int(last["step"]))
        if failed and (self._run or not self._console.has_said):
            self._show_end_of_log()

    def _show_end_of_log(self) -> None:
        with self._log.open("rb") as file:
            file.seek(max(0, self._log.stat().st_size - LONGEST_END))
            lines = file.read().decode(errors="replace").splitlines()
        for line in relevant_lines(lines):
            self._console.say(line)
        if self._run:
            self._console.say(f"medu1: these were the last lines of {self._log}, without warnings and the like.")
