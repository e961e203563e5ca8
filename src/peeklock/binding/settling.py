"""Calls to a platform at the end of an event, each with a time limit so that none holds up the others or the answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from peeklock.concurrency.bounded import bounded
from peeklock.timing.clock import Clock
from peeklock.timing.delays import ZERO

T = TypeVar("T")

ANSWER_SECONDS = 0.2
"""Time reserved for the answer before the event's limit. A small function has a fraction of a core."""

CALL_SECONDS = 5.0
"""Time limit of one call. Calls take milliseconds, and a message that is not settled comes back when its lock ends."""

LEAST_SECONDS = 0.05
"""Least share of the time for each call while any is left: enough for a working service."""


def left_of(limit: timedelta | None, began: float) -> timedelta | None:
    """Return the time left of a limit that counts from `began`, in `time.monotonic()` seconds; None where there is no limit.

    The first event of a process makes clients and imports SDKs before its messages are read.
    """
    return None if limit is None else max(limit - timedelta(seconds=time.monotonic() - began), ZERO)


class Settling:
    """Shares the time left among the calls that settle an event. `limit`: when the platform ends the event, on the clock's
    monotonic time; None where that is not known."""

    def __init__(self, clock: Clock, limit: float | None, calls: int) -> None:
        """`calls`: the number of calls to be made."""
        self._clock = clock
        self._end = float("inf") if limit is None else limit - ANSWER_SECONDS
        self._calls = calls

    def call(self, act: Callable[[], T]) -> T:
        """Make the next call with its share of the time left. Raises the call's exceptions, and TimeoutError when it takes longer;
        it may then have had its effect."""
        left = self._end - self._clock.monotonic()
        share = max(left / max(self._calls, 1), LEAST_SECONDS)
        self._calls -= 1
        return bounded(act, min(share, left, CALL_SECONDS))


def tighter(first: timedelta | None, second: timedelta | None) -> timedelta | None:
    """Return the shorter of two limits, each None where it is not known."""
    if first is None or second is None:
        return second if first is None else first
    return min(first, second)
