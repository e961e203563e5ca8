"""A store of records in a dict, which prints what it is asked."""

from __future__ import annotations

from collections.abc import Sequence

from peeklock.idempotency.store import Answer, Change
from peeklock.stores.memory import MemoryStore


class Ledger(MemoryStore):
    """A store in memory that prints the keys of each call."""

    def swap(self, changes: Sequence[Change], /) -> Sequence[Answer]:
        print("ledger:", *(change.key for change in changes))
        return super().swap(changes)


def from_url(url: str) -> Ledger:
    return Ledger()
