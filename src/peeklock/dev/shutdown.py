"""Waiting for a signal, or for something else to do."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from types import FrameType

CHANGED = b"c"


class Wakeup:
    """What wakes the main thread: a byte for each signal, its number, and CHANGED. A pipe and not a queue, since a signal
    that arrives just before a thread begins to wait for a lock does not wake it."""

    def __init__(self) -> None:
        self._in, self._out = socket.socketpair()
        self._in.setblocking(False)  # as signal.set_wakeup_fd wants it

    def fileno(self) -> int:
        return self._in.fileno()

    def ring(self) -> None:
        with suppress(BlockingIOError):  # full: it wakes anyway
            self._in.send(CHANGED)

    def wait(self) -> bytes:
        return self._out.recv(1)

    def stopping(self) -> bool:
        """Whether a signal came that nobody waited for yet."""
        try:
            come = self._out.recv(1024, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        return bool(come.strip(CHANGED))

    def close(self) -> None:
        self._in.close()
        self._out.close()


@contextmanager
def until_stopped() -> Iterator[Wakeup]:
    """Each SIGINT and SIGTERM stops in order, and does not break into that: a wrapper may hand on what the terminal sent
    already, and whatever runs has few seconds to end before it is killed."""
    with closing(Wakeup()) as wakeup:
        before = {number: signal.signal(number, _heard) for number in (signal.SIGINT, signal.SIGTERM)}
        wakened = signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
        try:
            yield wakeup
        finally:
            signal.set_wakeup_fd(wakened)
            for number, handler in before.items():
                signal.signal(number, handler)


def _heard(_number: int, _frame: FrameType | None) -> None:
    """The bell rings in C, whatever the main thread does."""
