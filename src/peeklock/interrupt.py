"""Stopping a handler whose time is over: on the main thread by a signal, in another by an exception that is raised there."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from enum import Enum
from types import FrameType
from typing import Any, Self, TypeVar

from peeklock.timer import Timer

T = TypeVar("T")

AGAIN = 1.0
"""Seconds until a handler on the main thread that swallowed its interruption is interrupted once more."""

set_handler: Callable[[int, Any], Any] = getattr(sys.modules.get("_signal"), "signal", signal.signal)
# What is beneath `signal.signal`, without its search for handlers among the members of an enum, which takes longer than
# a small event.

HAS_TIMER = hasattr(signal, "setitimer")
"""Windows has none."""


class Interrupted(BaseException):
    """Raised into a handler whose time is over. Not an Exception, so that `except Exception` lets it through."""


class Alarm(Timer):
    """Interrupts the main thread. One signal timer an event: to arm one for each message costs more than many handlers
    do."""

    def __init__(self, timeout: float, latest: float) -> None:
        super().__init__(latest)
        self.timeout = timeout
        self.rang = False
        """An interruption was raised since this was last set to False."""

    def start(self) -> float:
        """A handler, or an observer, begins: the time, in monotonic seconds."""
        now = time.monotonic()
        self.due = now + self.timeout
        return now

    def __enter__(self) -> Self:
        self._before = set_handler(signal.SIGALRM, self._ring)
        signal.setitimer(signal.ITIMER_REAL, self.timeout)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        set_handler(signal.SIGALRM, self._before)

    def _ring(self, signum: int, frame: FrameType | None) -> None:
        del signum, frame
        left = self.timeout if self.due is None else self.left(time.monotonic())
        signal.setitimer(signal.ITIMER_REAL, left if left > 0 else AGAIN)
        if left <= 0:
            self.rang = True
            raise Interrupted


def can_interrupt() -> bool:
    """Whether this thread gets the alarm, and nobody else waits for one."""
    return (
        threading.current_thread() is threading.main_thread()
        and HAS_TIMER
        and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    )


class Phase(Enum):
    WAITING = "waiting"
    CANCELLED = "cancelled"
    RUNNING = "running"
    ENDED = "ended"


class Target:
    """One call in a thread, which another thread may interrupt: once, and only while the call runs."""

    def __init__(self) -> None:
        self.phase = Phase.WAITING
        self.interrupted = False
        self._thread = 0
        self._lock = threading.RLock()
        # Reentrant: where an interruption comes between taking it and releasing it, the thread takes it again.

    def cancel(self) -> bool:
        """See to it that the call never begins; False where it has."""
        with self._lock:
            if self.phase is Phase.WAITING:
                self.phase = Phase.CANCELLED
            return self.phase is Phase.CANCELLED

    def begin(self) -> bool:
        """From here on it may be interrupted; False where it was cancelled."""
        with self._lock:
            if self.phase is Phase.CANCELLED:
                return False
            self._thread = threading.get_ident()
            self.phase = Phase.RUNNING
            return True

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call the function, having begun. Raises Interrupted where that comes as the function ends; once this has
        returned or raised, none can come any more."""
        try:
            try:
                return function(*arguments)
            finally:
                self._end()
        except Interrupted:
            self._end()  # the first may itself have been interrupted, and there is no second interruption
            raise

    def _end(self) -> None:
        with self._lock:
            self.phase = Phase.ENDED
        if self.interrupted:
            _set_exception(self._thread, None)  # one that has not arrived yet must not arrive later

    def interrupt(self) -> None:
        """Raise Interrupted in the call, if it still runs and was not interrupted before."""
        with self._lock:
            if self.phase is Phase.RUNNING and not self.interrupted:
                self.interrupted = True
                _set_exception(self._thread, Interrupted)


def _set_exception(thread: int, exception: type[BaseException] | None) -> None:
    """Have the interpreter raise it in a thread, at its next bytecode: what blocks in C goes on until it returns."""
    import ctypes  # costs a cold start, and most processes never need it

    value = None if exception is None else ctypes.py_object(exception)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), value)
