"""Calls to a platform at the end of an event, none of which may keep the others or the answer from it."""

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
"""Kept back before the event's limit for the answer itself: a small function has a fraction of a core."""

CALL_SECONDS = 5.0
"""One call at most. They take milliseconds, and what is not settled comes back when its lock is over."""

LEAST_SECONDS = 0.05
"""What each call gets while there is any time at all: enough for a service that works."""


def left_of(limit: timedelta | None, began: float) -> timedelta | None:
    """What is left of a limit, as far as there is one, that counts from `began`, in monotonic seconds of this machine: the
    first event of a process makes clients and imports SDKs before its messages are looked at."""
    return None if limit is None else max(limit - timedelta(seconds=time.monotonic() - began), ZERO)


class Settling:
    """The calls with which an event is settled, and the time that is left for them. `limit`: when the platform ends the
    event, on the clock's monotonic time; None where it is not known."""

    def __init__(self, clock: Clock, limit: float | None, calls: int) -> None:
        """`calls`: how many are to be made."""
        self._clock = clock
        self._end = float("inf") if limit is None else limit - ANSWER_SECONDS
        self._calls = calls

    def call(self, act: Callable[[], T]) -> T:
        """Make the next call, with its fair share of the time that is left. Raises what the call raises, and TimeoutError
        when it takes longer; it may then have had its effect."""
        left = self._end - self._clock.monotonic()
        share = max(left / max(self._calls, 1), LEAST_SECONDS)
        self._calls -= 1
        return bounded(act, min(share, left, CALL_SECONDS))


def tighter(one: timedelta | None, other: timedelta | None) -> timedelta | None:
    """Of two limits, as far as they are known."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
