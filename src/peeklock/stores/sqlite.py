"""A store in one SQLite file: for one machine, with any number of processes and threads."""

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
"""Expired records removed with a call, over the number that it may have added: so the file stays bounded."""


_lock = threading.Lock()
"""Held for each call, by all stores of the process: a file has one writer at a time anyway."""

_connected: weakref.WeakSet[SQLiteStore] = weakref.WeakSet()


class SQLiteStore:
    """Compare-and-swap over a table, one transaction a call. Write-ahead logging, so that reading never waits."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        """Which file the connection is to: a backup may take its place, and what is written to the old one is lost."""

    def swap(self, changes: Sequence[Change], /) -> Sequence[Answer]:
        if not changes:
            return []
        with _lock:
            try:
                return _transact(self._connect(), changes)
            except sqlite3.Error as exc:
                self.close()  # whatever the connection suffers from, the next call has a new one
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
        """Let go of the file until the next call."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def __del__(self) -> None:
        self.close()


def _before_fork() -> None:
    """SQLite's locks are the process's: a child with its parent's connection writes without any, and its records are
    lost. https://www.sqlite.org/howtocorrupt.html#_carrying_an_open_database_file_across_a_fork_"""
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


def _purge(connection: sqlite3.Connection, most: int) -> None:
    """An expired record counts as absent anyway; this only keeps the file small."""
    connection.execute(
        "DELETE FROM records WHERE key IN (SELECT key FROM records WHERE expires_at < ? ORDER BY expires_at LIMIT ?)",
        (text_of(datetime.now(UTC)), most),
    )


def from_url(url: str) -> SQLiteStore:
    """`sqlite:///var/lib/orders.db` is an absolute path, `sqlite://orders.db` one from the working directory."""
    path = unquote(url.partition("://")[2])
    if not path.strip("/"):
        raise ConfigError(f"{shown(url)!r} names no file: sqlite:///var/lib/orders.db, or sqlite://orders.db from here")
    if path.strip("/") == ":memory:":
        raise ConfigError(f"{shown(url)!r}: records that only this process needs to see are kept by memory://")
    return SQLiteStore(path)
