"""Clocks, which tests can replace."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Source of time for an engine."""

    def now(self) -> datetime:
        """Return the current time as an aware datetime in UTC: for records, which other machines read."""
        ...

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start, which never go backwards: for deadlines."""
        ...


class SystemClock:
    """Clocks of this machine."""

    monotonic = staticmethod(time.monotonic)

    @staticmethod
    def now() -> datetime:
        return datetime.now(UTC)
