"""Time, in one place, so that a test can hold it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The wall clock, aware and in UTC: for records, which other machines read."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never backwards: for deadlines."""
        ...


class SystemClock:
    """The machine's own clocks."""

    monotonic = staticmethod(time.monotonic)

    @staticmethod
    def now() -> datetime:
        return datetime.now(UTC)
