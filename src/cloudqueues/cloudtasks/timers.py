"""Timers: for an action that recurs at changing times, and for deadlines."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable

from cloudqueues.timeline import Timeline


class EarliestTimer:
    """Calls `action` at the earliest requested time. Later requests are dropped; the action repeats them.

    Timers are never cancelled but kept for later requests: thousands of cancelled ones would stay in the timeline.
    """

    __slots__ = ("_action", "_at", "_set", "_timeline")

    def __init__(self, timeline: Timeline, action: Callable[[], None]) -> None:
        self._timeline = timeline
        self._action = action
        self._at = math.inf
        self._set: list[float] = []  # in descending order, so that the last is due first

    def by(self, when: float) -> None:
        """Request a call at this time, or earlier."""
        self._at = min(self._at, when)
        self._ensure()

    def _ensure(self) -> None:
        if self._at < (self._set[-1] if self._set else math.inf):
            self._set.append(self._at)
            self._timeline.at(self._at, self._ring)

    def _ring(self) -> None:
        self._set.pop()
        if self._at > self._timeline.now():
            self._ensure()
            return
        self._at = math.inf
        self._action()


class Deadlines:
    """Calls the actions of deadlines that pass before they are over."""

    __slots__ = ("_heap", "_order", "_timeline", "_timer")

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._timer = EarliestTimer(timeline, self._ring)
        self._heap: list[tuple[float, int, Deadline]] = []
        self._order = itertools.count()

    def add(self, seconds: float, action: Callable[[], object]) -> Deadline:
        deadline = Deadline(action)
        when = self._timeline.now() + seconds
        heapq.heappush(self._heap, (when, next(self._order), deadline))
        self._timer.by(when)
        return deadline

    def _ring(self) -> None:
        now = self._timeline.now()
        while self._heap and (self._heap[0][2].over or self._heap[0][0] <= now):
            deadline = heapq.heappop(self._heap)[2]
            if not deadline.over:
                deadline.passed = True
                deadline.action()
        if self._heap:
            self._timer.by(self._heap[0][0])

    def tidy(self) -> None:
        """Remove deadlines that are over from the front of the heap."""
        while self._heap and self._heap[0][2].over:
            heapq.heappop(self._heap)


class Deadline:
    """Deadline of one action. Set `over` when it no longer counts."""

    __slots__ = ("action", "over", "passed")

    def __init__(self, action: Callable[[], object]) -> None:
        self.action = action
        self.over = False
        self.passed = False
