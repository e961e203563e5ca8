"""Waiting for SIGINT or SIGTERM."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from types import FrameType


class StopSignal:
    """Arrival of a signal, which is written to a socket: a signal just before a thread begins to wait for a lock would not
    wake that thread."""

    def __init__(self) -> None:
        self._received, self.written = socket.socketpair()
        self.written.setblocking(False)  # required by signal.set_wakeup_fd

    def wait(self) -> None:
        """Wait for a signal; return at once when one has arrived already."""
        self._received.recv(1)

    def close(self) -> None:
        self._received.close()
        self.written.close()


@contextmanager
def until_stopped() -> Iterator[StopSignal]:
    """Record SIGINT and SIGTERM instead of breaking off what runs, so that an emulator stops in order."""
    with closing(StopSignal()) as stopped:
        handlers = {number: signal.signal(number, _ignore) for number in (signal.SIGINT, signal.SIGTERM)}
        previous = signal.set_wakeup_fd(stopped.written.fileno(), warn_on_full_buffer=False)
        try:
            yield stopped
        finally:
            signal.set_wakeup_fd(previous)
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the interpreter writes the signal's number to the socket."""
