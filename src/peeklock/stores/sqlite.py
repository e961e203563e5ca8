"""Store in one SQLite file: for one machine, with any number of processes and threads."""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import unquote

from peeklock.errors import ConfigError, StoreError
from peeklock.idempotency.store import Answer, Change, decide
from peeklock.redaction import shown
from peeklock.stores.record_json import dump, load, text_of
from peeklock.stores.sqlite_file import file_at, open_file

PURGE = 100
"""Expired records removed with each call, beyond as many as it has changes, so that the file stays bounded."""

_lock = threading.Lock()
"""Held for each call by all stores of the process. A file has one writer at a time anyway."""

_connected: weakref.WeakSet[SQLiteStore] = weakref.WeakSet()


class SQLiteStore:
    """Compares and swaps in a table, one transaction per call. Write-ahead logging lets readers never wait."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        """Device and inode of the connected file. A restored backup may replace it, and writes to the old one would be lost."""

    def swap(self, changes: Sequence[Change], /) -> Sequence[Answer]:
        if not changes:
            return []
        with _lock:
            try:
                return _transact(self._connect(), changes)
            except sqlite3.Error as exc:
                self.close()  # the next call connects anew
                raise StoreError(f"{self.path}: {exc}") from exc

    def _connect(self) -> sqlite3.Connection:
        if self._connection is not None and self._file != file_at(self.path):
            self.close()
        if self._connection is None:
            self._connection = open_file(self.path)
            self._file = file_at(self.path)
            _connected.add(self)
        return self._connection

    def close(self) -> None:
        """Close the file until the next call."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def __del__(self) -> None:
        self.close()


def _before_fork() -> None:
    """Close all connections before a fork. SQLite's locks belong to the process: a child that used its parent's connection
    would write without a lock, and its records would be lost.
    https://www.sqlite.org/howtocorrupt.html#_carrying_an_open_database_file_across_a_fork_"""
    _lock.acquire()
    for store in list(_connected):
        store.close()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(before=_before_fork, after_in_parent=_lock.release, after_in_child=_lock.release)


def _transact(connection: sqlite3.Connection, changes: Sequence[Change]) -> Sequence[Answer]:
    try:
        connection.execute("BEGIN IMMEDIATE")
        answers = [_swap(connection, change) for change in changes]
        _purge(connection, PURGE + len(changes))
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    return answers


def _swap(connection: sqlite3.Connection, change: Change) -> Answer:
    row = connection.execute("SELECT record FROM records WHERE key = ?", (change.key,)).fetchone()
    try:
        answer = decide(None if row is None else load(row[0]), change)
    except StoreError as exc:
        return Answer(won=False, error=exc)
    if answer.won and change.record is None:
        connection.execute("DELETE FROM records WHERE key = ?", (change.key,))
    elif answer.won and change.record is not None:
        row = (change.key, text_of(change.record.expires_at), dump(change.record))
        connection.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", row)
    return answer


def _purge(connection: sqlite3.Connection, limit: int) -> None:
    """Remove expired records, which count as absent anyway, to keep the file small."""
    connection.execute(
        "DELETE FROM records WHERE key IN (SELECT key FROM records WHERE expires_at < ? ORDER BY expires_at LIMIT ?)",
        (text_of(datetime.now(UTC)), limit),
    )


def from_url(url: str) -> SQLiteStore:
    """Return the store of `sqlite:///var/lib/orders.db`, an absolute path, or of `sqlite://orders.db`, a path relative to the
    working directory. Raises ConfigError where there is no path."""
    path = unquote(url.partition("://")[2])
    if not path.strip("/"):
        raise ConfigError(
            f"{shown(url)!r} names no file: use sqlite:///var/lib/orders.db, or sqlite://orders.db for a relative path"
        )
    if path.strip("/") == ":memory:":
        raise ConfigError(f"{shown(url)!r}: for records in this process's memory, use memory://")
    return SQLiteStore(path)
