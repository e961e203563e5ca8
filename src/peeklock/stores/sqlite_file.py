"""Opening the file of the SQLite store."""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from peeklock import private_files as private

BUSY_SECONDS = 3.0
"""How long a process waits for another's transaction, which takes milliseconds: the desk asks again, and knows how long
there is time."""


_TABLE = """
CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, expires_at TEXT NOT NULL, record TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS records_by_expiry ON records (expires_at);
"""


def file_at(path: str) -> tuple[int, int] | None:
    """Which file stands there; None for none."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def open_file(path: str) -> sqlite3.Connection:
    """A connection to a file that has its table, made where it was not there. Raises sqlite3.Error.

    SQLite gives the files beside it (`-wal`, `-shm`) the mode of this one: https://www.sqlite.org/tempfiles.html
    """
    with suppress(OSError):  # SQLite says better what is wrong with the path
        private.make_file(path)
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous = FULL")  # a record must be on disk before its message is completed
        connection.executescript(_TABLE)
    except BaseException:
        connection.close()
        raise
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Processes that make a file at the same moment stand in each other's way here, where SQLite does not wait."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return
