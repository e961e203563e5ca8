"""Opening the file of the SQLite store."""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from peeklock import private_files as private

BUSY_SECONDS = 3.0
"""How long a process waits for another's transaction, which takes milliseconds. The engine retries, and knows the deadline."""

_TABLE = """
CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, expires_at TEXT NOT NULL, record TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS records_by_expiry ON records (expires_at);
"""


def file_at(path: str) -> tuple[int, int] | None:
    """Return the device and inode of the file at a path; None where there is none."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


class _Connection(sqlite3.Connection):
    """Connection that closes itself when it is collected, since nobody closes a store. Python 3.13 warns of one that does not."""

    def __del__(self, error: type[Exception] = sqlite3.ProgrammingError) -> None:
        try:  # the names of modules, such as `suppress`, are gone when the interpreter ends
            self.close()
        except error:  # a file that could not be opened
            return


def open_file(path: str) -> sqlite3.Connection:
    """Return a connection to the file, creating it and its table where needed. Raises sqlite3.Error.

    SQLite gives the files beside it (`-wal`, `-shm`) the mode of this one: https://www.sqlite.org/tempfiles.html
    """
    with suppress(OSError):  # SQLite reports better what is wrong with the path
        private.make_file(path)
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, factory=_Connection
    )
    try:
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous = FULL")  # a record must be on disk before its message is completed
        connection.executescript(_TABLE)
    except BaseException:
        connection.close()
        raise
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn on write-ahead logging, retrying while another process does it: SQLite does not wait for locks there."""
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
