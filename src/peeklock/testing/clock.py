"""Clock for tests."""

from __future__ import annotations

from datetime import UTC, datetime

from peeklock.timing.delays import Seconds, seconds


class FakeClock:
    """Clock that a test moves: `advance` alone changes its wall-clock and monotonic times."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, by: Seconds) -> None:
        """Move both times forward."""
        step = seconds(by, "advance()")
        self._now += step
        self._monotonic += step.total_seconds()
