"""Signals for what a test starts and then interrupts."""

import signal


def by_default() -> None:
    """Let SIGINT and SIGHUP end the process again; to be called in a child before its program starts.

    Shells start background jobs deaf to SIGINT, and `nohup` to SIGHUP, and that is inherited: tests that run in one
    would wait for ever.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
