"""The interface of a store: compare-and-swap over records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from peeklock.errors import StoreError
from peeklock.idempotency.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A compare-and-swap, which succeeds only if the key's record has version `expected` (None: there is no record)."""

    key: str
    expected: int | None
    record: Record | None
    """The new record; None removes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Result of a change."""

    won: bool
    record: Record | None = None
    """The present record, if the change lost."""
    error: StoreError | None = None
    """Set if the store did not answer for this change, which may have been made nevertheless."""


WON = Answer(won=True)


class Store(Protocol):
    """Records by key, with compare-and-swap as the only operation. A store has no policy of its own.

    `swap` makes each change independently: some may win while others lose. It returns the answers in the order of the
    changes, whose keys are distinct. A change whose new record is already present wins, because the response to an
    earlier call may have been lost. It raises StoreError if it does not know about any of the changes.
    Implementations have to be safe for several threads.
    """

    def swap(self, changes: Sequence[Change], /) -> Sequence[Answer]: ...


def decide(current: Record | None, change: Change) -> Answer:
    """Apply the rule of `swap` to one change, for stores that run it in this process under a lock."""
    if current == change.record:
        return WON
    version = None if current is None else current.version
    return WON if version == change.expected else Answer(won=False, record=current)
