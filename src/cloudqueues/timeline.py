"""The time of an emulator. It runs as real time does, and a test can move it forward."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable


class Timer:
    """An action that is due at some time."""

    __slots__ = ("action", "when")

    def __init__(self, when: float, action: Callable[[], None]) -> None:
        self.when = when
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Also after it ran."""
        self.action = None


class Timeline:
    """Seconds since 1970, and what is due. It belongs to one event loop: all but `now` is called in its thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._shift = time.time() - time.monotonic()  # the machine's clock may be set back, an emulator's must not
        self._due: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._wake: asyncio.TimerHandle | None = None

    def now(self) -> float:
        return time.monotonic() + self._shift

    def at(self, when: float, action: Callable[[], None]) -> Timer:
        """Call `action` once the time is `when`; at the same time, in the order of these calls."""
        timer = Timer(when, action)
        heapq.heappush(self._due, (when, next(self._order), timer))
        if self._due[0][2] is timer:
            self._arm()
        return timer

    def after(self, seconds: float, action: Callable[[], None]) -> Timer:
        return self.at(self.now() + seconds, action)

    def advance(self, seconds: float) -> None:
        """Move forward, and do what is due on the way, in order and each at its own time."""
        target = self.now() + seconds
        while self._due and self._due[0][0] <= target:
            self._shift += max(self._due[0][0] - self.now(), 0.0)
            self._run_due()
        self._shift += max(target - self.now(), 0.0)
        self._arm()

    def close(self) -> None:
        """Nothing is due any more."""
        self._due.clear()
        self._arm()

    def _arm(self) -> None:
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        if self._due:
            self._wake = self._loop.call_later(max(self._due[0][0] - self.now(), 0.0), self._ring)

    def _ring(self) -> None:
        self._wake = None
        self._run_due()
        self._arm()

    def _run_due(self) -> None:
        while self._due and self._due[0][0] <= self.now():
            timer = heapq.heappop(self._due)[2]
            action, timer.action = timer.action, None
            if action is not None:
                action()
