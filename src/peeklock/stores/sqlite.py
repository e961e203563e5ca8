"""A store in an SQLite file: for one machine, any number of processes and threads."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

from peeklock.claims import Record, State
from peeklock.errors import ConfigError, StoreError
from peeklock.store import Answer, Change, decide

BUSY_SECONDS = 10.0
"""How long a process waits for another's transaction, which takes milliseconds."""

PURGE = 100
"""Expired records removed with a call. More than a call adds, so that the file stays bounded."""

_TABLE = """
CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, expires_at TEXT NOT NULL, record TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS records_by_expiry ON records (expires_at);
"""


class SQLiteStore:
    """Compare-and-swap over a table, one transaction a call. Write-ahead logging, so that reading never waits."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._local = threading.local()

    def swap(self, changes: Sequence[Change], /) -> Sequence[Answer]:
        if not changes:
            return []
        try:
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                answers = [_swap(connection, change) for change in changes]
                _purge(connection)
            except BaseException:
                connection.rollback()
                raise
            connection.commit()
        except sqlite3.Error as exc:
            raise StoreError(f"{self.path}: {exc}") from exc
        return answers

    def _connection(self) -> sqlite3.Connection:
        """One a thread, made anew after a fork: SQLite forbids to carry one across."""
        if getattr(self._local, "pid", None) != os.getpid():
            self._local.connection = self._connect()
            self._local.pid = os.getpid()
        connection: sqlite3.Connection = self._local.connection
        return connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        connection.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # a record must be on disk before its message is completed
        connection.executescript(_TABLE)
        return connection


def _swap(connection: sqlite3.Connection, change: Change) -> Answer:
    row = connection.execute("SELECT record FROM records WHERE key = ?", (change.key,)).fetchone()
    answer = decide(None if row is None else load(row[0]), change)
    if answer.won and change.record is None:
        connection.execute("DELETE FROM records WHERE key = ?", (change.key,))
    elif answer.won and change.record is not None:
        row = (change.key, _text(change.record.expires_at), dump(change.record))
        connection.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", row)
    return answer


def _purge(connection: sqlite3.Connection) -> None:
    """An expired record counts as absent anyway; this only keeps the file small."""
    connection.execute(
        "DELETE FROM records WHERE key IN (SELECT key FROM records WHERE expires_at < ? LIMIT ?)",
        (_text(datetime.now(UTC)), PURGE),
    )


def dump(record: Record) -> str:
    """A record as JSON, with times in UTC."""
    fields = asdict(record)
    fields["lease_until"], fields["expires_at"] = _text(record.lease_until), _text(record.expires_at)
    return json.dumps(fields, separators=(",", ":"))


def load(text: str) -> Record:
    fields = json.loads(text)
    for name in ("lease_until", "expires_at"):
        fields[name] = datetime.fromisoformat(fields[name])
    return Record(**{**fields, "state": State(fields["state"])})


def _text(moment: datetime) -> str:
    """Of constant width, so that texts sort as times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def from_url(url: str) -> SQLiteStore:
    """`sqlite:///var/lib/orders.db` is an absolute path, `sqlite://orders.db` one from the working directory."""
    parts = urlsplit(url)
    path = unquote(parts.netloc + parts.path)
    if not path.strip("/"):
        raise ConfigError(f"{url!r} names no file: sqlite:///var/lib/orders.db, or sqlite://orders.db from here")
    return SQLiteStore(path)
