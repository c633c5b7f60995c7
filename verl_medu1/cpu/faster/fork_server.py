"""A process that has imported what the processes of a run need, and forks them.

`python -m verl_medu1.cpu.faster.fork_server DESCRIPTOR MODULE ...` imports modules and listens on an open socket. Each
connection (fork_client.py) asks for one process, and lives as long as that: the server kills the process when its
client is gone, and tells the client its exit code.
"""

import ctypes
import fcntl
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import struct
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from verl_medu1.cpu.faster.fork_client import is_mine

_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15  # linux/prctl.h
# What the kernel calls the server; verl_medu1/run/parts.py looks for it.
NAME = "medu1-forks"
# Seconds that a client may take to say what it wants.
_PATIENCE_S = 10.0
_MOST_DESCRIPTORS = 253  # the kernel's limit for a message
# Received descriptors wait from this number on for the numbers they get.
_HIGH = 512


@dataclass(frozen=True)
class Asked:
    """What a client wants: a process with these arguments, variables, folder and open files."""

    argv: list[str]
    environment: dict[str, str]
    folder: str
    descriptors: list[int]


class Server:
    """Forks a process for each connection.

    Args:
        listener: the socket to which clients connect.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._selector = selectors.PollSelector()  # not epoll, whose list the processes would share
        self._selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener))
        self._born: tuple[Asked, list[int]] | None = None

    def serve(self) -> Asked:
        """Fork processes, without end. Returns in each of these, with the client's folder and files in place."""
        while True:
            for key, _ in self._selector.select():
                if key.fd in self._selector.get_map():  # an earlier one of this round may have removed it
                    key.data()
                if self._born:
                    return self._settle(*self._born)

    def _accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        if not is_mine(connection):
            connection.close()
            return
        connection.settimeout(_PATIENCE_S)
        received: list[int] = []
        try:
            size, received, _, _ = socket.recv_fds(connection, 4, _MOST_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
            asked = Asked(**json.loads(_read(connection, struct.unpack("!I", size)[0])))
        except (OSError, EOFError, struct.error, ValueError, TypeError):  # the client is gone, or is none of ours
            connection.close()
            for each in received:
                os.close(each)
            return
        server = os.getpid()
        with warnings.catch_warnings():
            # Python warns of other threads. The one here is jemalloc's, which stops and starts it at a fork.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if not pid:
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != server:  # it died before that call
                os._exit(1)
            connection.close()
            self._born = asked, received
            return
        for each in received:
            os.close(each)
        connection.settimeout(None)
        ended = os.pidfd_open(pid)
        self._selector.register(connection, selectors.EVENT_READ, lambda: self._pass_on(connection, pid))
        self._selector.register(ended, selectors.EVENT_READ, lambda: self._tell_end(connection, pid, ended))

    def _pass_on(self, connection: socket.socket, pid: int) -> None:
        """Send the process the signals that its client got; kill it if the client is gone."""
        try:
            numbers = connection.recv(64)
        except ConnectionError:
            numbers = b""
        for number in numbers or [signal.SIGKILL]:
            os.kill(pid, number)  # it exists, if only as a zombie, until `_tell_end`
        if not numbers:
            self._selector.unregister(connection)

    def _tell_end(self, connection: socket.socket, pid: int, ended: int) -> None:
        _, status = os.waitpid(pid, 0)
        self._selector.unregister(ended)
        os.close(ended)
        if connection.fileno() in self._selector.get_map():
            self._selector.unregister(connection)
            try:
                connection.sendall(struct.pack("!i", os.waitstatus_to_exitcode(status)))
            except OSError:  # the client is gone, too
                pass
        connection.close()

    def _settle(self, asked: Asked, received: Sequence[int]) -> Asked:
        """Give this new process its name, files and folder."""
        _prctl(_PR_SET_NAME, b"python")
        for key in list(self._selector.get_map().values()):
            key.fileobj.close() if isinstance(key.fileobj, socket.socket) else os.close(key.fd)
        self._selector.close()
        waiting = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, _HIGH) for each in received]
        for each in received:
            os.close(each)
        for each, number in zip(waiting, asked.descriptors, strict=True):
            os.dup2(each, number)
            os.close(each)
        os.chdir(asked.folder)
        gc.enable()
        return asked


def _read(connection: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        if not (read := connection.recv(size - len(content))):
            raise EOFError
        content += read
    return content


def _prctl(option: int, value: int | bytes) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def import_all(modules: Sequence[str]) -> dict[str, str]:
    """Import modules and return the variables that they have added to the environment."""
    before = dict(os.environ)
    gc.disable()
    for name in modules:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a collection writes to what it visits, and each process would get its own copy of all of it
    return {name: value for name, value in os.environ.items() if name not in before}


def main() -> None:
    """Import the modules that the command line names, and fork the processes that clients ask for."""
    _prctl(_PR_SET_NAME, NAME.encode())
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # when the driver dies
    added = import_all(sys.argv[2:])
    asked = Server(socket.socket(fileno=int(sys.argv[1]))).serve()
    from verl_medu1.cpu.faster.forked import run

    run(asked.argv, added | asked.environment)


if __name__ == "__main__":
    main()
