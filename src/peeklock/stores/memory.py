"""A store in this process's memory: for tests and replay, and for nothing that has to survive."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from peeklock.idempotency.record import Record
from peeklock.idempotency.store import Answer, Change, decide


class MemoryStore:
    """Compare-and-swap over a dict, under a lock. `records` may be read by a test."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self._lock = threading.Lock()

    def swap(self, changes: Sequence[Change], /) -> Sequence[Answer]:
        with self._lock:
            return [self._swap(change) for change in changes]

    def _swap(self, change: Change) -> Answer:
        answer = decide(self.records.get(change.key), change)
        if answer.won:
            if change.record is None:
                self.records.pop(change.key, None)
            else:
                self.records[change.key] = change.record
        return answer


def from_url(url: str) -> MemoryStore:
    """`memory://`: one store a process and URL."""
    del url
    return MemoryStore()
