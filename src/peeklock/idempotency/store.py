"""The one thing a store does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from peeklock.errors import StoreError
from peeklock.idempotency.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One compare-and-swap: succeed only if the key's record has version `expected` (None: there is no record)."""

    key: str
    expected: int | None
    record: Record | None
    """What to hold from now on; None removes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a change."""

    won: bool
    record: Record | None = None
    """Of a lost change: the record that is there."""
    error: StoreError | None = None
    """The store did not answer for this change; it may have been made."""


WON = Answer(won=True)


class Store(Protocol):
    """Compare-and-swap over records, one per key, and no policy at all.

    `swap` makes each change on its own: some may win while others lose. Answers come in the order of the changes; keys
    are distinct within a call. A change whose record is there already has won, since its first response may have been
    lost. Safe for several threads. Raises StoreError when it can say nothing of any change.
    """

    def swap(self, changes: Sequence[Change], /) -> Sequence[Answer]: ...


def decide(current: Record | None, change: Change) -> Answer:
    """The rule of `swap` for one change, for stores that can run it themselves under a lock."""
    if current == change.record:
        return WON
    version = None if current is None else current.version
    return WON if version == change.expected else Answer(won=False, record=current)
