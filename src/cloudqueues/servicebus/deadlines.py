"""Deadlines by key."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from cloudqueues.timeline import Timeline, Timer

K = TypeVar("K", int, str, bytes)


class Deadlines(Generic[K]):
    """Deadlines by key, with `due(key)` called at each. A key has one deadline; setting it again moves it."""

    def __init__(self, timeline: Timeline, due: Callable[[K], object]) -> None:
        self._timeline = timeline
        self._due: Callable[[K], object] = due
        self._timers: dict[K, Timer] = {}

    def set(self, key: K, when: float) -> None:
        self.discard(key)
        self._timers[key] = self._timeline.at(when, partial(self._ring, key))

    def discard(self, key: K) -> None:
        """Remove a key's deadline, if it has one."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def _ring(self, key: K) -> None:
        del self._timers[key]
        self._due(key)
