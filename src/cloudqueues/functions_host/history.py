"""History of invocations: tests wait on it, and displays follow it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from cloudqueues.callbacks import call_logged

MAX_INVOCATIONS = 100_000
"""Invocations that are remembered: a host may run for days."""

QUIET = 0.3
"""Seconds without a delivery after which a host counts as idle."""

Outcome = Literal["ok", "failed", "killed"]
Settlement = Literal["completed", "abandoned", "dead-lettered", "deferred", "lost", "none"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """Call of a function, its outcome and the settlement of its messages."""

    function: str
    id: str
    message_ids: tuple[str, ...]
    attempt: int
    """Highest delivery count of its messages, 1-based."""
    outcome: Outcome
    """`killed`: the worker ended before it answered."""
    error: str
    """Name and text of the exception; empty after a success."""
    duration: float
    """Seconds from the request to the worker to its answer."""
    settled: tuple[Settlement, ...]
    """Settlement of each message: `lost` with its lock, `none` when it was not settled."""


class History:
    """Invocations that ended. Written in the host's thread, read from any."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._finished: deque[Invocation] = deque(maxlen=MAX_INVOCATIONS)
        self._callbacks: list[Callable[[Invocation], object]] = []
        self._running = 0
        self._last = time.monotonic()

    def subscribe(self, callback: Callable[[Invocation], object]) -> None:
        with self._changed:
            self._callbacks.append(callback)

    def begin(self) -> None:
        with self._changed:
            self._running += 1

    def end(self) -> None:
        """Count an invocation as ended, even one that was given up and is not recorded."""
        with self._changed:
            self._running -= 1
            self._last = time.monotonic()
            self._changed.notify_all()

    def add(self, invocation: Invocation) -> None:
        with self._changed:
            self._finished.append(invocation)
            callbacks = tuple(self._callbacks)
        for callback in callbacks:
            call_logged(_log, "on_invocation", callback, invocation)

    def finished(self) -> Sequence[Invocation]:
        with self._changed:
            return tuple(self._finished)

    def wait(self, holds: Callable[[Sequence[Invocation]], bool], timeout: float) -> None:
        """Wait until a condition holds for the invocations that ended. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: holds(tuple(self._finished)), timeout):
                raise TimeoutError(f"after {timeout} s: {len(self._finished)} invocations, the last {self._newest()}")

    def wait_idle(self, timeout: float) -> None:
        """Wait until nothing runs and nothing has arrived for a moment. Raises TimeoutError."""
        end = time.monotonic() + timeout
        with self._changed:
            self._last = max(self._last, time.monotonic() - QUIET / 2)
            while (left := self._quiet_in()) > 0:
                if time.monotonic() >= end:
                    raise TimeoutError(f"after {timeout} s: {self._running} invocations run, the last {self._newest()}")
                self._changed.wait(min(left, end - time.monotonic()))

    def _quiet_in(self) -> float:
        """Return the seconds until it has been quiet for long enough."""
        return QUIET if self._running else self._last + QUIET - time.monotonic()

    def _newest(self) -> object:
        return self._finished[-1] if self._finished else None
