"""Time limits of handlers, without the time for importing an SDK or creating the clients of the process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

SHORTEST = 0.01
"""Minimum seconds between two looks at a paused timer, to avoid a busy loop."""


class Timer:
    """When a handler has to be stopped, in monotonic seconds."""

    def __init__(self, latest: float) -> None:
        """`latest`: the end cannot move beyond it."""
        self.latest = latest
        self.due: float | None = None
        """When the handler has to end; None while no handler is running."""
        self.paused_at: float | None = None

    def left(self, now: float) -> float:
        """Return the seconds until the time is over; for a paused timer, the earliest possible."""
        due = self.latest if self.due is None else self.due
        if self.paused_at is None or now >= self.latest:
            return due - now
        return max(min(due - self.paused_at, self.latest - now), SHORTEST)

    def resume(self, now: float) -> None:
        """Continue a paused timer, and move its end by the pause."""
        if self.due is not None and self.paused_at is not None:
            self.due = max(self.due, min(self.due + now - self.paused_at, self.latest))
        self.paused_at = None


running: ContextVar[Timer | None] = ContextVar("peeklock_timer", default=None)
"""Timer of the handler that is running in this context."""


@contextmanager
def untimed() -> Iterator[None]:
    """Pause the time limit of the running handler."""
    timer = running.get()
    if timer is None or timer.paused_at is not None:
        yield
        return
    timer.paused_at = time.monotonic()
    try:
        yield
    finally:
        timer.resume(time.monotonic())
