"""Time of an emulator: it runs like real time, and can be moved forward."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable

SPARE = 64
"""Stale heap entries that are tolerated, beside as many as there are valid ones, before a heap is rebuilt."""


class Timer:
    """Action that is due at a time."""

    __slots__ = ("_on_cancel", "action", "when")

    def __init__(self, when: float, action: Callable[[], object], on_cancel: Callable[[], None]) -> None:
        self.when = when
        self.action: Callable[[], object] | None = action
        self._on_cancel = on_cancel

    @property
    def is_over(self) -> bool:
        """True when the action has run, or was cancelled."""
        return self.action is None

    def cancel(self) -> None:
        """Cancel the action; do nothing when it has run already."""
        if self.action is not None:
            self.action = None
            self._on_cancel()


class Timeline:
    """Clock in seconds since 1970, and the timers that are due by it.

    It belongs to one event loop, in whose thread every method except `now` must be called.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._shift = time.time() - time.monotonic()  # the machine's clock may be set back, an emulator's must not
        self._due: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._cancelled = 0  # of those in `_due`
        self._wake: asyncio.TimerHandle | None = None

    def now(self) -> float:
        return time.monotonic() + self._shift

    def at(self, when: float, action: Callable[[], object]) -> Timer:
        """Call `action` at the time `when`. Actions of the same time are called in the order in which they were added."""
        timer = Timer(when, action, self._drop_cancelled)
        heapq.heappush(self._due, (when, next(self._order), timer))
        if self._due[0][2] is timer:
            self._arm()
        return timer

    def after(self, seconds: float, action: Callable[[], object]) -> Timer:
        return self.at(self.now() + seconds, action)

    async def sleep(self, seconds: float) -> None:
        """Sleep, by this clock."""
        over = asyncio.Event()
        timer = self.after(seconds, over.set)
        try:
            await over.wait()
        finally:
            timer.cancel()

    def advance(self, seconds: float) -> None:
        """Move the time forward, and call the actions that become due on the way, in order and each at its own time."""
        target = self.now() + seconds
        while self._due and self._due[0][0] <= target:
            self._shift += max(self._due[0][0] - self.now(), 0.0)
            self._run_due()
        self._shift += max(target - self.now(), 0.0)
        self._arm()

    def close(self) -> None:
        """Cancel all timers."""
        self._due.clear()
        self._cancelled = 0
        self._arm()

    def _drop_cancelled(self) -> None:
        """Count a cancelled timer, and rebuild the heap when most of it is cancelled."""
        self._cancelled += 1
        if 2 * self._cancelled > len(self._due) + SPARE:
            self._due = [entry for entry in self._due if not entry[2].is_over]
            heapq.heapify(self._due)
            self._cancelled = 0

    def _arm(self) -> None:
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        if self._due:
            self._wake = self._loop.call_later(max(self._due[0][0] - self.now(), 0.0), self._ring)

    def _ring(self) -> None:
        self._wake = None
        try:
            self._run_due()
        finally:  # an action that fails does not keep the others from their time
            self._arm()

    def _run_due(self) -> None:
        while self._due and self._due[0][0] <= self.now():
            timer = heapq.heappop(self._due)[2]
            action, timer.action = timer.action, None
            if action is None:
                self._cancelled -= 1
            else:
                action()
