"""A keeper ends whatever its driver leaves, however the driver ends, shown with real process trees."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from verl_medu1.run.channel import LOG, METRICS

KEEPER = "import sys; from verl_medu1.run.keeper import keep; sys.exit(keep([sys.executable, '-c', *sys.argv[1:]]))"
# A driver that starts processes of every kind that is hard to find again, each with $MARK in its environment, says that
# they are there, and then does BODY.
DRIVER = textwrap.dedent(
    """
    import json, multiprocessing, os, signal, subprocess, sys, time
    from pathlib import Path
    from verl_medu1.run.channel import Run, connect, say
    folder = Path(sys.argv[1])
    channel = connect()
    print("before", flush=True)
    channel.announce(Run(str(folder), str(folder / "checkpoints"), steps=3, has_progress=False))
    print("after", flush=True)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(100)"
    started = [sys.executable, "-c", deaf]
    subprocess.Popen(started)
    subprocess.Popen(started, start_new_session=True)
    # Its parent ends at once, and so does its parent's parent.
    twice = f"import os, subprocess; os.fork() or subprocess.Popen({started!r}, start_new_session=True)"
    subprocess.run([sys.executable, "-c", twice], check=True)
    manager = multiprocessing.Manager()
    (folder / "ready").touch()
    BODY
    """
)


@pytest.fixture
def folder() -> Iterator[Path]:
    # The temporary folders of runs are short.
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        yield Path(name)


def start(folder: Path, body: str, keeper: str = KEEPER) -> subprocess.Popen[str]:
    program = DRIVER.replace("BODY", body)
    (folder / "tmp").mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-c", keeper, program, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(folder / "tmp"), "MARK": str(folder)},
    )


def left(folder: Path) -> list[str]:
    """Processes that were started for this test, and temporary folders."""
    found = [str(path) for path in (folder / "tmp").glob("medu1-*")]
    for process in psutil.process_iter():
        try:
            if process.environ().get("MARK") == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def wait(condition, seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(condition())


def end(keeper: subprocess.Popen[str], folder: Path) -> tuple[int, str, str]:
    out, err = keeper.communicate(timeout=60)
    assert wait(lambda: not left(folder)), left(folder)
    return keeper.returncode, out, err


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("pass", 0),
        ("sys.exit(7)", 7),
        ("os._exit(5)", 5),
        ("os.kill(os.getpid(), signal.SIGKILL)", 4),
        ("os.abort()", 4),
        ("raise RuntimeError('broken')", 1),
    ],
)
def test_nothing_is_left_however_the_driver_ends(folder, body, code):
    found, _, err = end(start(folder, body), folder)
    assert found == code
    assert bool(re.search(r"^medu1: driver \(process \d+\) died, killed or crashed; the same command", err)) == (
        code == 4
    )


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 143)],
    ids=lambda value: str(value),
)
def test_nothing_is_left_when_the_keeper_is_told_to_end(folder, number, code):
    keeper = start(folder, "time.sleep(100)")
    assert wait(lambda: (folder / "ready").exists())
    keeper.send_signal(number)
    assert end(keeper, folder)[0] == code


def test_nothing_is_left_when_the_keeper_is_killed(folder):
    """The kernel tells the driver, which does what verl_medu1.supervise does then."""
    body = (
        "from verl_medu1.run.tidy import clear_temporary, end_descendants; "
        "signal.signal(signal.SIGTERM, lambda *_: (end_descendants(), "
        "clear_temporary(channel.temporary, None, say), sys.exit(143))); (folder / 'deaf').touch(); time.sleep(100)"
    )
    keeper = start(folder, body)
    assert wait(lambda: (folder / "deaf").exists())
    keeper.kill()
    assert end(keeper, folder)[0] == -signal.SIGKILL


def test_a_driver_that_does_not_end_when_told_is_killed(folder):
    impatient = KEEPER.replace("import sys;", "import sys, verl_medu1.run.keeper as k; k.PATIENCE_S = 1.0;")
    body = "signal.signal(signal.SIGTERM, signal.SIG_IGN); (folder / 'deaf').touch(); time.sleep(100)"
    keeper = start(folder, body, impatient)
    assert wait(lambda: (folder / "deaf").exists())
    keeper.terminate()
    assert end(keeper, folder)[0] == 137


def test_what_is_printed_goes_to_the_log_and_a_failure_shows_its_end(folder):
    body = "print('INFO of others', flush=True); say('a sentence'); raise RuntimeError('broken')"
    code, out, err = end(start(folder, body), folder)
    log = (folder / LOG).read_text()
    assert code == 1
    assert out.splitlines() == [f"All output: {folder / LOG}"]
    assert "a sentence" in err.splitlines() and "RuntimeError: broken" in err.splitlines()
    assert "INFO of others" not in err and str(folder / LOG) in err
    # What was printed before the driver knew its folder stands in the log, too.
    assert re.match(r"==== \S+\nbefore\nafter\n", log) and "INFO of others" in log and "a sentence" not in log


def test_steps_are_shown_as_they_come(folder):
    lines = [json.dumps({"step": step, "data": {"train/loss": step / 4}}) for step in (1, 2, 3)]
    body = f"Path(folder, {str(METRICS)!r}).write_text({chr(10).join(lines) + chr(10)!r}); time.sleep(1)"
    code, out, err = end(start(folder, body), folder)
    assert (code, err) == (0, "")
    assert [line.partition("  ")[0] for line in out.splitlines()[1:]] == ["step 1/3", "step 2/3", "step 3/3"]


def test_a_mistake_before_the_run_is_its_sentence_alone(folder):
    program = "import sys; from verl_medu1.run.channel import connect, say; connect(); say('medu1: no'); sys.exit(2)"
    done = subprocess.run(
        [sys.executable, "-c", KEEPER, program],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"TMPDIR": str(folder)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "medu1: no\n")
    assert list(folder.iterdir()) == []


def test_a_temporary_folder_too_long_for_sockets_is_replaced(folder):
    long = folder / ("a" * 90)
    long.mkdir()
    program = "from verl_medu1.run.channel import connect, say; say(str(connect().temporary))"
    done = subprocess.run(
        [sys.executable, "-c", KEEPER, program],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"TMPDIR": str(long)},
    )
    assert re.fullmatch(r"/tmp/medu1-\w+\n", done.stderr)
