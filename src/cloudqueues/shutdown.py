"""Waiting for a stop signal, or for something else to do."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from types import FrameType

CHANGED = b"c"


class Wakeup:
    """Wakes the main thread: it receives a byte for each signal (the signal's number) and for each change (CHANGED). A socket
    and not a queue, since a signal that arrives just before a thread begins to wait for a lock does not wake it."""

    def __init__(self) -> None:
        self._in, self._out = socket.socketpair()
        self._in.setblocking(False)  # as signal.set_wakeup_fd wants it

    def fileno(self) -> int:
        return self._in.fileno()

    def notify(self) -> None:
        """Wake the main thread for a change. May be called from any thread."""
        with suppress(BlockingIOError):  # full: it wakes anyway
            self._in.send(CHANGED)

    def wait(self) -> bytes:
        return self._out.recv(1)

    def stopping(self) -> bool:
        """Return whether a signal came that nothing has waited for yet."""
        try:
            pending = self._out.recv(1024, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        return bool(pending.strip(CHANGED))

    def close(self) -> None:
        self._in.close()
        self._out.close()


@contextmanager
def until_stopped(on_signal: Callable[[], object] = lambda: None) -> Iterator[Wakeup]:
    """Turn SIGINT and SIGTERM into bytes of a `Wakeup`, so that neither interrupts an orderly stop: a wrapper may pass on a
    signal that the terminal sent already, and whatever runs has few seconds to end before it is killed. `on_signal` is called
    in the main thread, also while that waits."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        on_signal()

    with closing(Wakeup()) as wakeup:
        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
        previous = signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
        try:
            yield wakeup
        finally:
            signal.set_wakeup_fd(previous)
            for number, handler in before.items():
                signal.signal(number, handler)
