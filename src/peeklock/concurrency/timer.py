"""The time that a handler has, and the time that is not the handler's: importing an SDK, making the process's clients."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

SHORTEST = 0.01
"""Seconds between two looks at a timer that stands still, so that nobody watches it in a tight loop."""


class Timer:
    """When a handler has to be stopped, in monotonic seconds."""

    def __init__(self, latest: float) -> None:
        """`latest`: nothing moves the end beyond it."""
        self.latest = latest
        self.due: float | None = None
        """None: no handler runs."""
        self.paused_at: float | None = None

    def left(self, now: float) -> float:
        """Seconds until the time is over; while the timer stands still, until it can be over at the earliest."""
        due = self.latest if self.due is None else self.due
        if self.paused_at is None or now >= self.latest:
            return due - now
        return max(min(due - self.paused_at, self.latest - now), SHORTEST)

    def resume(self, now: float) -> None:
        if self.due is not None and self.paused_at is not None:
            self.due = max(self.due, min(self.due + now - self.paused_at, self.latest))
        self.paused_at = None


running: ContextVar[Timer | None] = ContextVar("peeklock_timer", default=None)
"""The timer of the handler that runs in this context."""


@contextmanager
def untimed() -> Iterator[None]:
    """Within it, a handler's time stands still."""
    timer = running.get()
    if timer is None or timer.paused_at is not None:
        yield
        return
    timer.paused_at = time.monotonic()
    try:
        yield
    finally:
        timer.resume(time.monotonic())
