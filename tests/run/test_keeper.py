"""A keeper ends whatever its driver leaves, however the driver ends, shown with real process trees."""

import json
import os
import re
import shutil
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

from tests.signals import by_default
from verl_medu1.run.start import start as begin
from verl_medu1.run_folder.names import CONSOLE_LOG, METRICS

KEEPER = "import sys; from verl_medu1.run.keeper import keep; sys.exit(keep([sys.executable, '-c', *sys.argv[1:]]))"
# A driver that starts processes of every kind that is hard to find again, each with $MARK in its environment, says that
# they are there, and then does BODY.
DRIVER = textwrap.dedent(
    """
    import json, multiprocessing, os, signal, subprocess, sys, time
    from pathlib import Path
    from verl_medu1.exit import say
    from verl_medu1.run.channel import Run, connect
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
        preexec_fn=by_default,
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
    """The kernel tells the driver, which does what verl_medu1.run.supervise does then."""
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
    log = (folder / CONSOLE_LOG).read_text()
    assert code == 1
    assert out.splitlines() == [f"All output: {folder / CONSOLE_LOG}"]
    assert "a sentence" in err.splitlines() and "RuntimeError: broken" in err.splitlines()
    assert "INFO of others" not in err and str(folder / CONSOLE_LOG) in err
    # What was printed before the driver knew its folder stands in the log, too.
    assert re.match(r"==== \S+\nbefore\nafter\n", log) and "INFO of others" in log and "a sentence" not in log


def test_steps_are_shown_as_they_come(folder):
    lines = [json.dumps({"step": step, "data": {"train/loss": step / 4}}) for step in (1, 2, 3)]
    body = f"Path(folder, {str(METRICS)!r}).write_text({chr(10).join(lines) + chr(10)!r}); time.sleep(1)"
    code, out, err = end(start(folder, body), folder)
    assert (code, err) == (0, "")
    assert [line.partition("  ")[0] for line in out.splitlines()[1:]] == ["step 1/3", "step 2/3", "step 3/3"]


def test_a_line_that_cannot_be_shown_is_told_and_does_not_end_the_run(folder):
    """As one that was cut off, on a disk that was full for a moment."""
    good = json.dumps({"step": 3, "data": {"train/loss": 0.5}})
    body = (
        f"metrics = Path(folder, {str(METRICS)!r}); metrics.write_text('{{\\n'); time.sleep(1.5); "
        f"metrics.open('a').write({good!r} + '\\n'); time.sleep(1.5)"
    )
    code, out, err = end(start(folder, body), folder)
    assert code == 0
    assert err.count("medu1: the progress of the run can't be shown") == 1
    assert out.splitlines()[-1].startswith("step 3/3")


def test_a_run_whose_folder_is_removed_ends_with_its_code(folder):
    body = "import shutil; shutil.rmtree(folder / 'logs'); sys.exit(7)"
    code, _, err = end(start(folder, body), folder)
    assert code == 7
    assert "the end of the run can't be explained" in err and "Traceback" not in err


def test_the_output_may_be_a_pipe_that_is_closed(folder):
    line = json.dumps({"step": 1, "data": {"train/loss": 0.5}})
    body = f"Path(folder, {str(METRICS)!r}).write_text({line + chr(10)!r}); say('a sentence'); time.sleep(1)"
    keeper = start(folder, body)
    keeper.stdout.close()
    keeper.stderr.close()
    assert keeper.wait(60) == 0
    assert wait(lambda: not left(folder)), left(folder)


def test_the_output_may_be_closed_from_the_start(folder):
    """The numbers of its descriptors are free then, and the driver's own must not take them."""
    program = DRIVER.replace("BODY", "say('a sentence'); sys.exit(7)")
    (folder / "tmp").mkdir()
    shell = 'exec "$@" <&- >&- 2>&-'
    done = subprocess.run(
        ["bash", "-c", shell, "bash", sys.executable, "-c", KEEPER, program, str(folder)],
        timeout=60,
        env=os.environ | {"TMPDIR": str(folder / "tmp"), "MARK": str(folder)},
    )
    assert done.returncode == 7
    assert wait(lambda: not left(folder)), left(folder)


def test_output_that_the_terminal_has_no_characters_for_is_shown_all_the_same(folder, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    loud = KEEPER.replace("*sys.argv[1:]])", "*sys.argv[1:]], verbose=True)")
    body = "sys.stdout.buffer.write('\\u2588 done\\n'.encode()); sys.stdout.flush(); time.sleep(1)"
    code, out, _ = end(start(folder, body, loud), folder)
    assert code == 0 and "\\u2588 done" in out


@pytest.mark.parametrize("connected", [True, False])
def test_nothing_is_left_when_the_keeper_is_killed_before_the_run_has_begun(folder, connected):
    before, after = ("connect(); ", "") if connected else ("", "; connect()")
    program = (
        "import subprocess, sys, time; from pathlib import Path; from verl_medu1.run.channel import connect; "
        f"{before}subprocess.Popen(['sleep', '100'], start_new_session=True) if {connected} else None; "
        f"Path(sys.argv[1], 'ready').touch(); time.sleep({100 if connected else 2}){after}"
    )
    (folder / "tmp").mkdir()
    keeper = subprocess.Popen(
        [sys.executable, "-c", KEEPER, program, str(folder)],
        env=os.environ | {"TMPDIR": str(folder / "tmp"), "MARK": str(folder)},
    )
    assert wait(lambda: (folder / "ready").exists())
    keeper.kill()
    keeper.wait()
    assert wait(lambda: not left(folder)), left(folder)


def test_a_request_to_stop_that_comes_before_the_run_has_begun_reaches_it(folder):
    (folder / "tmp").mkdir()
    program = (
        "import signal, sys, time; from pathlib import Path; from verl_medu1.run.channel import Run, connect; "
        "folder = Path(sys.argv[1]); channel = connect(); (folder / 'ready').touch(); time.sleep(1); "
        "signal.signal(signal.SIGUSR1, lambda *_: sys.exit(85)); "
        "channel.announce(Run(str(folder), str(folder), has_progress=False)); time.sleep(100)"
    )
    keeper = subprocess.Popen(
        [sys.executable, "-c", KEEPER, program, str(folder)],
        env=os.environ | {"TMPDIR": str(folder / "tmp"), "MARK": str(folder)},
    )
    assert wait(lambda: (folder / "ready").exists())
    keeper.send_signal(signal.SIGUSR1)
    assert keeper.wait(60) == 85
    assert wait(lambda: not left(folder)), left(folder)


def test_training_has_a_keeper_whatever_rank_the_machine_has_set(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setattr("verl_medu1.run.start.keep", lambda command, verbose: 42)
    with pytest.raises(SystemExit, match="42"):
        begin("verl_medu1.run.train", ["recipe=no-such-recipe"])


def test_a_mistake_before_the_run_is_its_sentence_alone(folder):
    program = (
        "import sys; from verl_medu1.exit import say; from verl_medu1.run.channel import connect; "
        "connect(); say('medu1: no'); sys.exit(2)"
    )
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
    program = (
        "from verl_medu1.exit import say; from verl_medu1.run.channel import connect; say(str(connect().temporary))"
    )
    done = subprocess.run(
        [sys.executable, "-c", KEEPER, program],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"TMPDIR": str(long)},
    )
    assert re.fullmatch(r"/tmp/medu1-\w+\n", done.stderr)


def test_a_driver_that_waits_in_c_for_a_dead_process_of_rays_is_ended(folder):
    # As ray.init waits for its GCS server: with Python's lock, so that no other thread of the driver can look.
    program = shutil.copy(shutil.which("sleep"), folder / "gcs_server")
    body = f"part = subprocess.Popen([{str(program)!r}, '100']); part.kill(); ctypes.PyDLL(None).sleep(100)"
    keeper = start(folder, f"import ctypes; {body}")
    _, error = keeper.communicate(timeout=30)
    assert keeper.returncode == 4
    assert re.search(r"^medu1: Ray's GCS server \(process \d+\) died; ", error, re.MULTILINE), error
    assert not left(folder)


def test_a_driver_that_ends_ray_itself_is_left_to_finish(folder):
    # ray.shutdown does not wait for a raylet that takes long to die: it stays a zombie until the driver ends.
    program = shutil.copy(shutil.which("sleep"), folder / "raylet")
    body = f"channel.end_ray(); part = subprocess.Popen([{str(program)!r}, '100']); part.kill(); time.sleep(10)"
    keeper = start(folder, body)
    _, error = keeper.communicate(timeout=40)
    assert keeper.returncode == 0 and "died" not in error, error


# What Ray's raylet writes when it has waited for 15 seconds (2.60), shortened.
TOO_SLOW = (
    "node_manager.cc:3576: Check failed: status has_value() Timed out waiting for file /tmp/metrics_agent_port_b5"
)
# A driver whose Ray is too slow in the first N starts.
SLOW = f"""
logs = channel.temporary / "session_2026-11-30_17-58-48_028204_4208" / "logs"
starts = len((folder / "starts").read_text()) if (folder / "starts").exists() else 0
(folder / "starts").write_text("x" * (starts + 1))
if starts < int(os.environ["SLOW_STARTS"]):
    logs.mkdir(parents=True)
    (logs / "raylet.err").write_text({TOO_SLOW!r})
    say("medu1: Ray's raylet died")
    sys.exit(4)
"""


@pytest.mark.parametrize(("slow", "starts", "code"), [(0, 1, 0), (2, 3, 0), (9, 3, 4)])
def test_a_run_whose_ray_came_up_too_slowly_begins_again(folder, monkeypatch, slow, starts, code):
    monkeypatch.setenv("SLOW_STARTS", str(slow))
    keeper = start(folder, SLOW)
    _, error = keeper.communicate(timeout=60)
    assert keeper.returncode == code, error
    assert (folder / "starts").read_text() == "x" * starts
    assert error.count("the run is started again") == starts - 1
    assert ("these were the last lines" in error) == bool(code)
    assert not left(folder)


def test_a_run_that_is_told_to_end_does_not_begin_again(folder, monkeypatch):
    monkeypatch.setenv("SLOW_STARTS", "9")
    keeper = start(folder, SLOW.replace("sys.exit(4)", "time.sleep(100)"))
    while not (folder / "starts").exists():
        time.sleep(0.1)
    keeper.terminate()
    _, error = keeper.communicate(timeout=60)
    assert keeper.returncode == 143 and "started again" not in error
    assert (folder / "starts").read_text() == "x"
    assert not left(folder)
