"""Stopping a handler whose time is over: on the main thread by a signal, in another by an exception that is raised there."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from functools import cache
from types import FrameType
from typing import Any, Self, TypeVar

from peeklock.concurrency.timer import Timer

T = TypeVar("T")

AGAIN = 1.0
"""Seconds until a handler on the main thread that swallowed its interruption is interrupted once more."""

LOOK_AGAIN = 0.0005
"""Seconds between two looks at a call that must not be interrupted where it is."""

LONGEST_LOOK = 0.1
"""Seconds for which the alarm looks again. Beyond it the handler waits for a lock that it does not have yet."""

QUICK = 0.000005
"""Seconds in which no handler sets an alarm of its own and takes it back: after one as quick as that, to ask for the timer
would take an eighth of the time of an event."""

FRAGILE_NAMES = frozenset({"acquire", "release", "__enter__", "__exit__", "_acquireLock", "_releaseLock", "__del__"})
"""Functions that take or give back what must not stay taken; and those in which an exception is lost."""

FRAGILE_MODULES = frozenset(
    {"threading", "queue", "concurrent", "importlib", "_frozen_importlib", "_frozen_importlib_external"}
)
"""Modules and packages whose other functions leave a lock held, or lose an item, when an exception is raised in them."""

THREAD_CLOCK: Callable[[int], int] | None = getattr(time, "pthread_getcpuclockid", None)
"""The clock of what a thread works; Windows and macOS have none."""

HANGS_WHEN_TRACED = sys.version_info[:2] == (3, 11)
"""While an exception waits for a thread that blocks in C, CPython 3.11 calls no function in a thread that is traced, as by
coverage or a debugger: it looks for that exception before each call, over and over."""

set_handler: Callable[[int, Any], Any] = getattr(sys.modules.get("_signal"), "signal", signal.signal)
# What is beneath `signal.signal`, without its search for handlers among the members of an enum, which takes longer than
# a small event.

get_handler: Callable[[int], Any] = getattr(sys.modules.get("_signal"), "getsignal", signal.getsignal)

HAS_TIMER = hasattr(signal, "setitimer")
"""Windows has none."""


class Interrupted(BaseException):
    """Raised into a handler whose time is over. Not an Exception, so that `except Exception` lets it through."""


def is_fragile(frame: FrameType | None) -> bool:
    """Whether an exception raised at this line of code may leave a lock held for good, or get lost."""
    if frame is None:
        return False
    if frame.f_code is threading.Condition.wait.__code__:
        return bool(frame.f_locals.get("gotit", True))  # False while it waits, in a `try` that takes its lock back
    if frame.f_globals is globals():
        return True  # a call that is over is being marked so, under a lock
    package = str(frame.f_globals.get("__name__")).partition(".")[0]
    return frame.f_code.co_name in FRAGILE_NAMES or package in FRAGILE_MODULES


class HandlerTimer(Timer):
    """Interrupts the main thread. One signal timer an event: to arm one for each message costs more than many handlers
    do."""

    def __init__(self, timeout: float, latest: float) -> None:
        super().__init__(latest)
        self.timeout = timeout
        self.fired = False
        """An interruption was raised since this was last set to False."""

    def start(self, seconds: float) -> float:
        """A handler, or an observer, begins, for so long at most: the time, in monotonic seconds."""
        now = time.monotonic()
        self.due = min(now + seconds, self.latest)
        return now

    def shorten(self, seconds: float) -> None:
        """Look in so many seconds at the latest, for a handler that has less than the time-out."""
        if signal.getitimer(signal.ITIMER_REAL)[0] > seconds:
            signal.setitimer(signal.ITIMER_REAL, seconds)

    def rearm(self) -> None:
        """Arm the timer again after a handler or a hook that used it, or its signal, itself."""
        armed_for = signal.getitimer(signal.ITIMER_REAL)[0]
        if not 0 < armed_for <= self.timeout or get_handler(signal.SIGALRM) is not self._handler:
            self._arm()

    def call_within(self, call: Callable[[], T], seconds: float) -> T:
        """Return what a hook returns; raise Interrupted when it takes longer."""
        self.fired = False
        signal.setitimer(signal.ITIMER_REAL, seconds)
        self.due = time.monotonic() + seconds
        try:
            try:
                result = call()
            finally:
                self.due = None
        except BaseException:
            self.due = None  # the line above may itself have been interrupted
            if self.fired:
                raise Interrupted from None  # whatever the hook made of that: a part of it was cut off
            raise
        finally:
            self.rearm()
        if self.fired:
            raise Interrupted
        return result

    def _arm(self) -> None:
        set_handler(signal.SIGALRM, self._handler)
        signal.setitimer(signal.ITIMER_REAL, self.timeout)

    def __enter__(self) -> Self:
        self._handler = self._on_signal  # one object, to know it again
        self._before = get_handler(signal.SIGALRM)
        self._arm()
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        set_handler(signal.SIGALRM, self._before)
        del self._handler  # a cycle

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        del signum
        now = time.monotonic()
        left = self.timeout if self.due is None else self.left(now)
        if -LONGEST_LOOK < left <= 0 and is_fragile(frame):
            left = LOOK_AGAIN
        signal.setitimer(signal.ITIMER_REAL, left if left > 0 else AGAIN)
        if left <= 0:
            self.due = now + AGAIN
            self.fired = True
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
        self._spent = -1
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
            _receive_pending()

    def interrupt(self) -> bool:
        """Raise Interrupted in the call, if it still runs and was not interrupted before. False where that has to wait: it
        might leave a lock held."""
        set_exception = _exception_setter()  # before the look, which must not be old when the exception is set
        with self._lock:
            if self.phase is Phase.RUNNING and not self.interrupted:
                if is_fragile(sys._current_frames().get(self._thread)):  # noqa: SLF001 - documented all the same
                    return False
                if HANGS_WHEN_TRACED and sys.gettrace() is not None and not self._is_working():
                    return False
                self.interrupted = True
                set_exception(self._thread, Interrupted)
            return True

    def _is_working(self) -> bool:
        """Whether its thread has worked since the last look, so that it does not block in C."""
        if THREAD_CLOCK is None:
            return False
        spent = time.clock_gettime_ns(THREAD_CLOCK(self._thread))
        before, self._spent = self._spent, spent
        return before not in (-1, spent)


def _receive_pending() -> None:
    """Have what was raised in this thread, and has not arrived yet, arrive here and not later. To take it back instead, with
    None, would leave CPython 3.11 looking for it for good: see HANGS_WHEN_TRACED."""
    with suppress(Interrupted):
        for _ in range(100):
            pass


@cache
def _exception_setter() -> Callable[[int, type[BaseException]], None]:
    """A function that has the interpreter raise an exception in a thread, where that is now: at once, or in what blocks in C
    when that returns."""
    import ctypes  # costs a cold start, and most processes never need it

    def set_exception(thread: int, exception: type[BaseException]) -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(exception))

    return set_exception
