"""Many deadlines on one timer of the timeline."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Generic, TypeVar

from cloudqueues.timeline import Timeline, Timer

K = TypeVar("K", int, str, bytes)


SPARE = 64
"""Stale heap entries that are tolerated before the heap is rebuilt."""


class Deadlines(Generic[K]):
    """Deadlines by key, with `due(key)` called at each. A key has one deadline; setting it again moves it."""

    def __init__(self, timeline: Timeline, due: Callable[[K], object]) -> None:
        self._timeline = timeline
        self._due: Callable[[K], object] = due
        self._when: dict[K, float] = {}
        self._heap: list[tuple[float, K]] = []  # may hold stale entries: only those in `_when` are valid
        self._timer: Timer | None = None

    def set(self, key: K, when: float) -> None:
        self._when[key] = when
        heapq.heappush(self._heap, (when, key))
        self._tidy()
        if self._timer is None or when < self._timer.when:
            self._arm()

    def discard(self, key: K) -> None:
        """Remove a key's deadline, if it has one."""
        self._when.pop(key, None)
        self._tidy()

    def _tidy(self) -> None:
        if len(self._heap) > 2 * len(self._when) + SPARE:
            self._heap = [(when, key) for key, when in self._when.items()]
            heapq.heapify(self._heap)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap:
            self._timer = self._timeline.at(self._heap[0][0], self._ring)

    def _ring(self) -> None:
        self._timer, now = None, self._timeline.now()
        while self._heap and self._heap[0][0] <= now:
            when, key = heapq.heappop(self._heap)
            if self._when.get(key) == when:
                del self._when[key]
                self._due(key)
        if self._timer is None:
            self._arm()
