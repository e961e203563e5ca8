"""Interruption of handlers: on the main thread by a signal, in other threads by an exception raised there."""

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
"""Seconds until a handler on the main thread that swallowed its interruption is interrupted again."""

LOOK_AGAIN = 0.0005
"""Seconds between two looks at a call that cannot be interrupted safely at its present line."""

LONGEST_LOOK = 0.1
"""Seconds for which the timer waits for a line where interruption is safe. After that the handler must be waiting for a lock
that it does not hold."""

QUICK = 0.000005
"""Seconds in which a handler cannot have set and reset a timer of its own. After a handler as quick as that the timer is not
checked: that would take 6 % of the CPU time of an event of one message, 18 % of ten (SQS without a store, an empty handler)."""

FRAGILE_NAMES = frozenset({"acquire", "release", "__enter__", "__exit__", "_acquireLock", "_releaseLock", "__del__"})
"""Functions that acquire or release something which must not stay acquired, and those in which an exception is lost."""

FRAGILE_MODULES = frozenset(
    {"threading", "queue", "concurrent", "importlib", "_frozen_importlib", "_frozen_importlib_external"}
)
"""Modules and packages in which an exception may leave a lock held, or lose an item of a queue."""

THREAD_CLOCK: Callable[[int], int] | None = getattr(time, "pthread_getcpuclockid", None)
"""Returns the CPU clock of a thread; None on Windows and macOS."""

HANGS_WHEN_TRACED = sys.version_info[:2] == (3, 11)
"""While an exception is pending for a thread that blocks in C, CPython 3.11 calls no function in a thread that is traced (by
coverage or a debugger): it checks for that exception before each call, in an endless loop."""

set_handler: Callable[[int, Any], Any] = getattr(sys.modules.get("_signal"), "signal", signal.signal)
# The function that `signal.signal` wraps. The wrapper, which looks up handlers in an enum, takes 41 % more CPU time for an
# event of one message, 19 % for ten (SQS without a store, an empty handler).

get_handler: Callable[[int], Any] = getattr(sys.modules.get("_signal"), "getsignal", signal.getsignal)

HAS_TIMER = hasattr(signal, "setitimer")
"""False on Windows."""


class Interrupted(BaseException):
    """Raised in a handler whose time is over. Not an Exception, so that `except Exception` does not catch it."""


def is_fragile(frame: FrameType | None) -> bool:
    """Return whether an exception raised at this line could be lost, or leave a lock held."""
    if frame is None:
        return False
    if frame.f_code is threading.Condition.wait.__code__:
        return bool(frame.f_locals.get("gotit", True))  # False while it waits, in a `try` that reacquires its lock
    if frame.f_globals is globals():
        return True  # the call is over and is being marked so, under a lock
    package = str(frame.f_globals.get("__name__")).partition(".")[0]
    return frame.f_code.co_name in FRAGILE_NAMES or package in FRAGILE_MODULES


class HandlerTimer(Timer):
    """Interrupts the handler on the main thread.

    It uses one signal timer per event, because arming one for each message costs more than many handlers do.
    """

    def __init__(self, timeout: float, latest: float) -> None:
        super().__init__(latest)
        self.timeout = timeout
        self.fired = False
        """True if an interruption was raised since this was last reset."""

    def start(self, seconds: float) -> float:
        """Start the time limit of a handler or an observer. Return the current time in monotonic seconds."""
        now = time.monotonic()
        self.due = min(now + seconds, self.latest)
        return now

    def shorten(self, seconds: float) -> None:
        """Let the signal arrive within `seconds`, for a handler that has less than the full time-out."""
        if signal.getitimer(signal.ITIMER_REAL)[0] > seconds:
            signal.setitimer(signal.ITIMER_REAL, seconds)

    def rearm(self) -> None:
        """Arm the timer again if a handler or a hook has used the timer or its signal itself."""
        armed_for = signal.getitimer(signal.ITIMER_REAL)[0]
        if not 0 < armed_for <= self.timeout or get_handler(signal.SIGALRM) is not self._handler:
            self._arm()

    def call_within(self, call: Callable[[], T], seconds: float) -> T:
        """Return what a hook returns, or raise what it raises; raise Interrupted if it takes longer than `seconds`."""
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
                raise Interrupted from None  # the hook did not run completely, whatever it raised
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
        self._handler = self._on_signal  # one object, so that `rearm` can compare it
        self._before = get_handler(signal.SIGALRM)
        self._arm()
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        set_handler(signal.SIGALRM, self._before)
        del self._handler  # it refers back to this object

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
    """Return whether this is the main thread, which receives signals, and the process's timer is not in use."""
    return (
        threading.current_thread() is threading.main_thread()
        and HAS_TIMER
        and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    )


class Phase(Enum):
    """Progress of a call in a thread."""

    WAITING = "waiting"
    CANCELLED = "cancelled"
    RUNNING = "running"
    ENDED = "ended"


class Target:
    """A call in a thread, which another thread can interrupt once, and only while the call runs."""

    def __init__(self) -> None:
        self.phase = Phase.WAITING
        self.interrupted = False
        self._thread = 0
        self._spent = -1
        self._lock = threading.RLock()
        # Reentrant, because an interruption may arrive while the thread holds it, which then acquires it again.

    def cancel(self) -> bool:
        """Prevent the call from beginning. Return False if it has already begun."""
        with self._lock:
            if self.phase is Phase.WAITING:
                self.phase = Phase.CANCELLED
            return self.phase is Phase.CANCELLED

    def begin(self) -> bool:
        """Allow interruptions from here on. Return False if the call was cancelled."""
        with self._lock:
            if self.phase is Phase.CANCELLED:
                return False
            self._thread = threading.get_ident()
            self.phase = Phase.RUNNING
            return True

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call the function, after `begin`.

        Raises Interrupted if the interruption arrives as the function ends. None can arrive after this method has returned
        or raised.
        """
        try:
            try:
                return function(*arguments)
            finally:
                self._end()
        except Interrupted:
            self._end()  # the first `_end` may have been interrupted; there is no second interruption
            raise

    def _end(self) -> None:
        with self._lock:
            self.phase = Phase.ENDED
        if self.interrupted:
            _receive_pending()

    def interrupt(self) -> bool:
        """Raise Interrupted in the call, if it is running and has not been interrupted before.

        Return False if that has to wait, because it might leave a lock held at the present line.
        """
        set_exception = _exception_setter()  # first, so that no time passes between looking and raising
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
        """Return whether the thread has used CPU time since the last look, and so does not block in C."""
        if THREAD_CLOCK is None:
            return False
        spent = time.clock_gettime_ns(THREAD_CLOCK(self._thread))
        before, self._spent = self._spent, spent
        return before not in (-1, spent)


def _receive_pending() -> None:
    """Let an exception that is pending for this thread arrive here rather than later.

    Clearing it with None instead would make CPython 3.11 check for it forever: see HANGS_WHEN_TRACED.
    """
    with suppress(Interrupted):
        for _ in range(100):
            pass


@cache
def _exception_setter() -> Callable[[int, type[BaseException]], None]:
    """Return a function that makes the interpreter raise an exception in a thread: at once, or when the C function that blocks
    the thread returns."""
    import ctypes  # imported here to keep cold starts short; most processes never need it

    def set_exception(thread: int, exception: type[BaseException]) -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(exception))

    return set_exception
