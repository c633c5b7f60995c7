"""Stands in for Python where a process is started: the fork server starts it, and this process ends as it ends.

Ray and multiprocessing run this file as a script, with Python's arguments behind it. It imports nothing large.
"""

import json
import os
import signal
import socket
import struct
import sys

# Names the server's socket.
VARIABLE = "MEDU1_FORK_SERVER"
# Signals that the new process gets when this one does. SIGKILL needs no passing on: the server sees this process end.
_PASSED_ON = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def main() -> None:
    """Ask the server for a process that has the arguments, the environment and the open files of this one."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ[VARIABLE])
        if not is_mine(connection):
            sys.exit("The fork server belongs to another user.")
        descriptors = _inherited()
        asked = {
            "argv": sys.argv[1:],
            "environment": dict(os.environ),
            "folder": os.getcwd(),
            "descriptors": descriptors,
        }
        content = json.dumps(asked).encode()
        socket.send_fds(connection, [struct.pack("!I", len(content))], descriptors)
        connection.sendall(content)
        for each in descriptors:
            if each > 2:
                os.close(each)  # whoever reads from a pipe waits until nobody has its other end
        for number in _PASSED_ON:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, lambda number, _: connection.send(bytes([number])))
        told = connection.recv(4)
    if len(told) < 4:
        sys.exit("The fork server has died.")
    code = struct.unpack("!i", told)[0]
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def is_mine(connection: socket.socket) -> bool:
    """Return whether the process at the other end belongs to this user: Ray lets everybody into a run's folder."""
    _, user, _ = struct.unpack(
        "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    )
    return user == os.geteuid()


def _inherited() -> list[int]:
    """Return the descriptors that this process was started with; Python makes its own ones close on exec."""
    inherited = []
    for each in map(int, os.listdir("/proc/self/fd")):
        try:
            if os.get_inheritable(each):
                inherited.append(each)
        except OSError:  # the one with which the folder was read
            continue
    return inherited


if __name__ == "__main__":
    main()
