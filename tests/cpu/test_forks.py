"""Processes from the fork server are what a Python started for them would be, and end with what they belong to."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.runs import wait_for
from verl_medu1.cpu.faster import fork_client
from verl_medu1.cpu.faster.fork_client import VARIABLE
from verl_medu1.run.parts import dead_child

JOB = "01000000"
MODULES = ("verl_medu1.cpu.faster.forked", "imported_once")


class Forks:
    """A fork server, and what asks it for processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "imported_once.py").write_text("import os\nopen(os.environ['IMPORTS'], 'a').write('x')\n")
        self.imports = folder / "imports"
        self.environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(folder), *sys.path]),
            "IMPORTS": str(self.imports),
            "RAY_JOB_ID": JOB,
            VARIABLE: str(folder / "socket"),
        }
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.environment[VARIABLE])
            listener.listen(128)
            number = listener.fileno()
            self.server = psutil.Popen(
                [sys.executable, "-m", "verl_medu1.cpu.faster.fork_server", str(number), *MODULES],
                env=self.environment,
                pass_fds=[number],
            )

    def ask(self, code: str, *arguments: str, environment: dict[str, str] | None = None, **settings) -> psutil.Popen:
        """A client that asks for a process which runs this code."""
        script = self.folder / f"script{len(list(self.folder.glob('script*')))}.py"
        script.write_text(textwrap.dedent(code))
        return psutil.Popen(
            [sys.executable, fork_client.__file__, str(script), *arguments, "--language=PYTHON"],
            env=self.environment | (environment or {}),
            text=True,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **settings},
        )

    def result(self, code: str, *arguments: str, **settings) -> str:
        """What a process prints which must end well."""
        client = self.ask(code, *arguments, **settings)
        printed, _ = client.communicate(timeout=60)
        assert client.returncode == 0, printed
        return printed

    def stop(self) -> None:
        if self.server.is_running():
            self.server.kill()
        self.server.wait()


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    started = Forks(tmp_path_factory.mktemp("forks"))
    yield started
    assert started.server.is_running()
    assert started.imports.read_text() == "x"
    started.stop()


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Forks]:
    """A server of one test, which may kill it."""
    started = Forks(tmp_path)
    yield started
    started.stop()


def started(client: psutil.Popen) -> psutil.Process:
    """The process of a client, which prints its ID first."""
    return psutil.Process(int(client.stdout.readline()))


def gone(*processes: psutil.Process) -> Callable[[], bool]:
    return lambda: not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in processes)


def test_a_process_has_the_surroundings_of_its_client(forks, tmp_path):
    code = """
        import json, os, sys
        print(json.dumps([
            sys.argv, os.getcwd(), os.environ["SAID"], "VERL_PLATFORM_" in os.environ, __name__, os.getppid(),
            "imported_once" in sys.modules, os.environ.get("UNSAID"), sys.stdin.read(),
        ]))
    """
    script, said = forks.folder / "input", {"SAID": "ä\udcff"}
    script.write_text("in")
    with script.open() as stdin:
        printed = forks.result(code, "--a=b c", environment=said, cwd=tmp_path, stdin=stdin)
    argv, *rest = json.loads(printed)
    assert argv[1:] == ["--a=b c"]
    assert rest == [str(tmp_path), "ä\udcff", False, "__main__", forks.server.pid, True, None, "in"]


def test_a_module_is_started_as_ray_does_it(forks):
    """`ray start` starts the server of Ray Client with the script for workers, and `-m`."""
    client = psutil.Popen(
        [sys.executable, fork_client.__file__, "-m", "json.tool", "--compact", "--language=PYTHON"],
        env=forks.environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    printed, _ = client.communicate('{"a": 1}', timeout=60)
    assert (client.returncode, printed.strip()) == (0, '{"a":1}')


def test_a_process_has_the_open_files_of_its_client_under_their_numbers(forks):
    reading, writing = os.pipe()
    client = forks.ask(f"import os; os.write({writing}, b'through'); os.close({writing})", pass_fds=[writing])
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b"through"  # ends when nobody has the other end any more
    assert client.wait(30) == 0
    code = """
        import os
        from contextlib import suppress
        for number in range(1000):
            with suppress(OSError):
                print(os.readlink(f"/proc/self/fd/{number}"))
    """
    assert "socket:" not in forks.result(code)  # the server's own


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("", 0),
        ("import sys; sys.exit(7)", 7),
        ("import os; os._exit(255)", 255),
        ("raise RuntimeError('told')", 1),
        ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL),
        ("import os; os.kill(os.getpid(), 15)", -signal.SIGTERM),
    ],
)
def test_a_client_ends_as_its_process_ends(forks, code, exit_code):
    client = forks.ask(code)
    printed, _ = client.communicate(timeout=30)
    assert client.returncode == exit_code, printed
    assert ("RuntimeError: told" in printed) == (exit_code == 1)


def test_a_process_gets_the_signals_of_its_client(forks):
    code = """
        import os, signal, sys, time
        signal.signal(signal.SIGUSR1, lambda *_: print("heard", flush=True))
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
        print(os.getpid(), flush=True)
        time.sleep(100)
    """
    client = forks.ask(code)
    started(client)
    client.send_signal(signal.SIGUSR1)
    assert client.stdout.readline() == "heard\n"
    client.terminate()
    assert client.wait(30) == 3


def test_a_process_dies_with_its_client(forks):
    client = forks.ask("import os, time; print(os.getpid(), flush=True); time.sleep(100)")
    process = started(client)
    client.kill()
    assert wait_for(gone(process), 10)


def test_clients_that_leave_before_they_have_asked_do_no_harm(forks):
    for said in (b"", b"\0", b"\0\0\0\7", b"\0\0\0\7{}"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(forks.environment[VARIABLE])
            connection.sendall(said)
    assert forks.result("print('served')") == "served\n"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


def as_nobody(body: Callable[[], None]) -> int:
    """The process ID of a child that does this as another user, and exits with 0 if it raises nothing."""
    if pid := os.fork():
        return pid
    os.setresuid(65534, 65534, 65534)
    code = 1
    try:
        body()
        code = 0
    finally:
        os._exit(code)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_gets_no_process(open_folder):
    forks = Forks(open_folder)
    os.chmod(forks.environment[VARIABLE], 0o777)

    def ask() -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(forks.environment[VARIABLE])
            assert connection.recv(1) == b""  # hung up on, before anything was asked

    try:
        assert os.waitstatus_to_exitcode(os.waitpid(as_nobody(ask), 0)[1]) == 0
        assert forks.result("print('served')") == "served\n"
    finally:
        forks.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_client_tells_another_user_nothing(open_folder):
    path = open_folder / "socket"

    def listen() -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path.with_name("not yet")))
            listener.listen()
            path.with_name("not yet").rename(path)
            listener.settimeout(30)
            connection, _ = listener.accept()
            connection.settimeout(30)
            assert connection.recv(1) == b""

    pid = as_nobody(listen)
    assert wait_for(path.exists, 10)
    done = subprocess.run(
        [sys.executable, fork_client.__file__, "script"], env=os.environ | {VARIABLE: str(path)}, capture_output=True
    )
    assert done.stderr == b"The fork server belongs to another user.\n"
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_many_at_once(forks):
    clients = [forks.ask(f"import sys; sys.exit({number})") for number in range(20)]
    assert [client.wait(60) for client in clients] == list(range(20))


def test_two_processes_draw_different_numbers(forks):
    code = "import numpy, random, tempfile; print(numpy.random.rand(), random.random(), tempfile.mktemp())"
    first, second = forks.result(code).split(), forks.result(code).split()
    assert not set(first) & set(second)


def test_a_child_of_multiprocessing_is_forked_too(forks):
    """vLLM starts its engine like this, and the watch over a run knows the engine by its title."""
    code = """
        import multiprocessing, os, sys

        def child(connection):
            import setproctitle
            setproctitle.setproctitle("VLLM::EngineCore")
            connection.send((os.getppid(), "imported_once" in sys.modules))
            connection.recv()
            sys.exit(5)

        if __name__ == "__main__":
            context = multiprocessing.get_context("spawn")
            ours, theirs = context.Pipe()
            process = context.Process(target=child, args=(theirs,))
            process.start()
            theirs.close()
            print(*ours.recv(), flush=True)
            sys.stdin.readline()
            ours.send(None)
            process.join(30)
            print(process.exitcode)
            ours, theirs = context.Pipe()
            process = context.Process(target=child, args=(theirs,))
            process.start()
            ours.recv()
            process.terminate()
            process.join(30)
            print(process.exitcode)
    """
    client = forks.ask(code, stdin=subprocess.PIPE)
    assert client.stdout.readline() == f"{forks.server.pid} True\n"
    assert "VLLM::EngineCore" in [each.name() for each in forks.server.children()]
    client.stdin.write("\n")
    client.stdin.flush()
    assert client.stdout.read().split() == ["5", "-15"]
    assert client.wait(30) == 0


@pytest.mark.parametrize(
    ("job", "context"),
    [("02000000", {}), (JOB, {"command_prefix": ["true &&"]}), (JOB, {"py_executable": f"env {sys.executable}"})],
)
def test_what_the_server_can_not_fork_is_started_by_ray_itself(forks, job, context):
    code = "import os, sys; print('imported_once' in sys.modules, os.environ['RAY_JOB_ID'])"
    serialized = f"--serialized-runtime-env-context={json.dumps(context)}"
    assert forks.result(code, serialized, environment={"RAY_JOB_ID": job}).split() == ["False", job]


def test_the_variables_of_rays_runtime_environment_are_set(forks):
    serialized = f"--serialized-runtime-env-context={json.dumps({'env_vars': {'SAID': '1'}})}"
    assert forks.result("import os; print(os.environ['SAID'])", serialized) == "1\n"


def test_processes_die_with_the_server_and_the_watch_says_so(mortal):
    client = mortal.ask("import os, time; print(os.getpid(), flush=True); time.sleep(100)")
    process = started(client)
    assert dead_child(os.getpid()) is None
    mortal.server.kill()
    assert wait_for(gone(process), 10)
    assert client.wait(10) != 0
    assert wait_for(lambda: dead_child(os.getpid()), 5)
    assert dead_child(os.getpid()) == f"the process from which workers are forked (process {mortal.server.pid}) died"


def test_a_server_that_can_not_import_refuses_its_clients(tmp_path):
    folder = tmp_path / "broken"
    folder.mkdir()
    broken = Forks(folder)
    (folder / "imported_once.py").write_text("raise ImportError('told')")
    assert broken.server.wait(30) == 1
    assert broken.ask("").wait(30) == 1
