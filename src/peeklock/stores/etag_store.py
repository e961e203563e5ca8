"""Compare-and-swap on a database that compares an etag of its own (an etag, a time of update) instead of a version.

The etag of this process's last write or read of a row is cached with the record's version, so that a claim and the write of
its result take one round trip each. Where the cache has no etag, or an outdated one, the row is read, and `decide` judges by
its record: the change has been made already, it has lost, or the write is tried again with the etag just read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from peeklock.concurrency.per_process import per_process
from peeklock.errors import StoreError, store_error
from peeklock.idempotency.record import Record
from peeklock.idempotency.store import WON, Answer, Change, decide
from peeklock.stores.etag_cache import ETagCache
from peeklock.stores.parallel import pool
from peeklock.stores.record_json import load

TRIES = 3
"""Writes of one change. The second follows a cached etag that was outdated. Losing that one as well takes another writer
within milliseconds, and of all writers of a key only one can have the right version."""

Request = TypeVar("Request")
Response = TypeVar("Response")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Row that a database holds for a key."""

    etag: Any = None
    """Different after each write. None: there is no row."""
    text: str = ""
    """The record as `record_json.dump` wrote it; empty in the answer to a write."""
    error: StoreError | None = None
    """The database did not answer for this row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """Write to be made only while the row has this etag (None: while there is no row)."""

    key: str
    record: Record | None
    """None removes the row."""
    etag: Any


class Database(Protocol):
    """Rows with etags. Each row of a call is handled on its own, and the answers come in the order of the keys. An exception
    counts as no answer for any of them."""

    keys_per_call: int
    """Maximum number of keys in a call."""

    def read(self, keys: Sequence[str], /) -> Sequence[Row]: ...

    def write(self, writes: Sequence[Write], /) -> Sequence[Row | None]:
        """Return the rows with their new etags; None for a write that was not made because the row has another etag."""


class ETagStore:
    """Store on a database with etags. Changes that do not fit into one call go out in several concurrent calls."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._etags = per_process(
            ETagCache
        )  # a forked child makes its own: a thread of the parent may have held the lock

    def swap(self, changes: Sequence[Change], /) -> Sequence[Answer]:
        size = self.database.keys_per_call
        parts = [changes[n : n + size] for n in range(0, len(changes), size)]
        if len(parts) < 2:  # noqa: PLR2004 - a single part needs no other thread
            return self._swap(changes)
        return [answer for answers in pool.map(self._swap, parts) for answer in answers]

    def _swap(self, changes: Sequence[Change]) -> list[Answer]:
        answers: dict[str, Answer] = {}
        writes = [write for change in changes if (write := self._from_cache(change))]
        for _ in range(TRIES):
            answers |= self._write(writes)
            left = [change for change in changes if change.key not in answers]
            rows = _call(self.database.read, [change.key for change in left])
            judged = [self._judge(change, row) for change, row in zip(left, rows, strict=True)]
            answers |= {change.key: each for change, each in zip(left, judged, strict=True) if isinstance(each, Answer)}
            writes = [each for each in judged if isinstance(each, Write)]
            if not writes:
                break
        contended = Answer(won=False, error=StoreError(f"other processes wrote the record {TRIES} times meanwhile"))
        return [answers.get(change.key, contended) for change in changes]

    def _from_cache(self, change: Change) -> Write | None:
        """Return the write that needs no read first; None where the etag is not cached, or there is nothing to write."""
        if change.expected is None:
            return None if change.record is None else Write(key=change.key, record=change.record, etag=None)
        etag = self._etags().get(change.key, change.expected)
        return None if etag is None else Write(key=change.key, record=change.record, etag=etag)

    def _write(self, writes: Sequence[Write]) -> dict[str, Answer]:
        """Make writes and return the certain answers, by key. A change whose write was not made has none yet."""
        answers = {}
        for write, row in zip(writes, _call(self.database.write, writes), strict=True):
            if row is not None and row.error is None:
                self._etags().put(write.key, write.record, row.etag)
                answers[write.key] = WON
            elif row is not None:
                answers[write.key] = Answer(won=False, error=row.error)
        return answers

    def _judge(self, change: Change, row: Row) -> Answer | Write:
        """Return the answer to a change, given the row that was read, or the write to make now."""
        if row.error is not None:
            return Answer(won=False, error=row.error)
        try:
            current = None if row.etag is None else load(row.text)
        except StoreError as exc:
            return Answer(won=False, error=exc)
        answer = decide(current, change)
        if answer.won and current != change.record:
            return Write(key=change.key, record=change.record, etag=row.etag)
        self._etags().put(change.key, current, row.etag)
        return answer


def _call(
    method: Callable[[Sequence[Request]], Sequence[Response]], requests: Sequence[Request]
) -> Sequence[Response | Row]:
    """Return the method's answer to each request; an exception is the answer to all of them."""
    if not requests:
        return []
    try:
        return method(requests)
    except Exception as exc:  # noqa: BLE001 - any exception of an SDK means the same
        return [Row(error=store_error(exc))] * len(requests)
