"""Compare-and-swap on a database that compares a tag of its own (an etag, a time of update), and not our versions.

The tag that a row got with this process's last write or read of it is remembered together with the record's version, so
that a claim and its record are one trip each. Where the memory knows nothing, or what it knows is no longer so, the row
is read, and `decide` says by its record what that means: it is there already, it is another, or the write is tried
again with the tag read.
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
"""Writes of one change. The second is for a tag that was not the row's last; to lose it as well takes another writer
within milliseconds, and all writers of a key but one lose by its version."""

Asked = TypeVar("Asked")
Told = TypeVar("Told")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a database holds for a key."""

    etag: Any = None
    """Different after each write; None: there is no row."""
    text: str = ""
    """The record, as `record_json.dump` wrote it; empty in the answer to a write."""
    error: StoreError | None = None
    """The database did not answer for this row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """To be made only while the row has this tag (None: while there is no row)."""

    key: str
    record: Record | None
    """None removes the row."""
    etag: Any


class Database(Protocol):
    """Rows with tags. Each row of a call stands alone, and the answers come in the order of the keys. What is raised
    counts as no answer for any of them."""

    keys_per_call: int
    """Keys in a call, at most."""

    def read(self, keys: Sequence[str], /) -> Sequence[Row]: ...

    def write(self, writes: Sequence[Write], /) -> Sequence[Row | None]:
        """The rows with their new tags; None for a write that was not made, as the row's tag is another."""


class ETagStore:
    """A store on such a database. What does not fit into one call goes out side by side."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._etags = per_process(ETagCache)  # anew in a forked child, where a thread of the parent may have held its lock

    def swap(self, changes: Sequence[Change], /) -> Sequence[Answer]:
        size = self.database.keys_per_call
        parts = [changes[n : n + size] for n in range(0, len(changes), size)]
        if len(parts) < 2:  # noqa: PLR2004 - one part needs no other thread
            return self._swap(changes)
        return [answer for answers in pool.map(self._swap, parts) for answer in answers]

    def _swap(self, changes: Sequence[Change]) -> list[Answer]:
        answers: dict[str, Answer] = {}
        writes = [write for change in changes if (write := self._from_memory(change))]
        for _ in range(TRIES):
            answers |= self._write(writes)
            left = [change for change in changes if change.key not in answers]
            rows = _ask(self.database.read, [change.key for change in left])
            judged = [self._judge(change, row) for change, row in zip(left, rows, strict=True)]
            answers |= {change.key: each for change, each in zip(left, judged, strict=True) if isinstance(each, Answer)}
            writes = [each for each in judged if isinstance(each, Write)]
            if not writes:
                break
        contended = Answer(won=False, error=StoreError(f"others wrote the record {TRIES} times meanwhile"))
        return [answers.get(change.key, contended) for change in changes]

    def _from_memory(self, change: Change) -> Write | None:
        """The write that needs no reading first. To remove what is not there is none."""
        if change.expected is None:
            return None if change.record is None else Write(key=change.key, record=change.record, etag=None)
        etag = self._etags().get(change.key, change.expected)
        return None if etag is None else Write(key=change.key, record=change.record, etag=etag)

    def _write(self, writes: Sequence[Write]) -> dict[str, Answer]:
        """The answers that are certain; a change whose write was not made has none yet."""
        answers = {}
        for write, row in zip(writes, _ask(self.database.write, writes), strict=True):
            if row is not None and row.error is None:
                self._etags().put(write.key, write.record, row.etag)
                answers[write.key] = WON
            elif row is not None:
                answers[write.key] = Answer(won=False, error=row.error)
        return answers

    def _judge(self, change: Change, row: Row) -> Answer | Write:
        """What a row means for a change: its answer, or what to write now."""
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


def _ask(call: Callable[[Sequence[Asked]], Sequence[Told]], asked: Sequence[Asked]) -> Sequence[Told | Row]:
    """Nothing where nothing is asked, and what is raised as the answer to each."""
    if not asked:
        return []
    try:
        return call(asked)
    except Exception as exc:  # noqa: BLE001 - whatever an SDK raises means the same
        return [Row(error=store_error(exc))] * len(asked)
