"""Store in this process's memory, for tests and replay. Nothing survives the process."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from peeklock.idempotency.record import Record
from peeklock.idempotency.store import Answer, Change, decide


class MemoryStore:
    """Compares and swaps in a dict, under a lock. Tests may read `records`."""

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
    """Return the store of `memory://NAME`. There is one for each process and URL."""
    del url
    return MemoryStore()
