"""SQLite's own: processes, forks, files that are none, and the purge."""

from __future__ import annotations

import gc
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from peeklock import ConfigError, StoreError
from peeklock.idempotency.store import WON
from peeklock.stores import sqlite, sqlite_file
from peeklock.stores.sqlite import SQLiteStore
from tests.contracts.stores import change, record
from tests.support import ROOT

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[3])
from tests.stores.test_sqlite import SQLiteStore, change, record
store = SQLiteStore(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(sum(store.swap([change(f"k-{n}", None, record(n + 1, owner=sys.argv[2]))])[0].won for n in range(200)))
"""


def test_several_processes_share_a_file(tmp_path):
    """They make it at the same moment; each wins its share, none twice."""
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "keys.db")]
    runs = [
        subprocess.Popen([*command, str(n), str(ROOT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for n in range(4)
    ]
    for run in runs:
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
    for run in runs:
        assert run.stdin is not None
        run.stdin.write("go\n")
        run.stdin.flush()
    assert sum(int(run.communicate(timeout=60)[0]) for run in runs) == 200


@pytest.mark.parametrize("begin", ["BEGIN EXCLUSIVE", "BEGIN; SELECT * FROM theirs"])
def test_a_file_that_another_process_is_making(tmp_path, begin):
    """Is waited for, whether it is being written or read."""
    store, answers = SQLiteStore(str(tmp_path / "keys.db")), []
    thread = threading.Thread(target=lambda: answers.extend(store.swap([change("k", None, record(1))])))
    with closed(tmp_path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
        for statement in begin.split(";"):
            connection.execute(statement)
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
    thread.join(20)
    assert answers == [WON]


class Reluctant:
    """A connection that fails as often as it has errors."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)

    def execute(self, statement: str) -> None:
        if self.codes:
            error = sqlite3.OperationalError("no")
            error.sqlite_errorcode = self.codes.pop(0)
            raise error


def test_the_switch_to_write_ahead_is_tried_again():
    """While others are in its way; any other failure is one."""
    connection: Any = Reluctant(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY)
    sqlite_file._write_ahead(connection)
    assert connection.codes == []
    connection = Reluctant(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY)
    with pytest.raises(sqlite3.OperationalError):
        sqlite_file._write_ahead(connection)
    assert connection.codes == [sqlite3.SQLITE_BUSY]


FORKING = """
import os, sys
sys.path.insert(0, sys.argv[2])
from tests.stores.test_sqlite import SQLiteStore, change, record
store = SQLiteStore(sys.argv[1])
store.swap([change("parent", None, record(1))])
to_parent, to_child = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    store.swap([change("child", None, record(1))])
    os.write(to_parent[1], b"x")
    os.read(to_child[0], 1)
    store.swap([change("later", None, record(1))])
    os._exit(0)
os.read(to_parent[0], 1)
store.close()
SQLiteStore(sys.argv[1]).swap([change("third", None, record(1))])
os.write(to_child[1], b"x")
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_loses_no_record(tmp_path):
    """Also when the parent lets go of the file first: with an inherited connection, SQLite would hold no lock."""
    store = SQLiteStore(str(tmp_path / "keys.db"))
    command = [sys.executable, "-c", FORKING, store.path, str(ROOT)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout == "0\n"
    assert keys_in(store) == {"parent", "child", "later", "third"}


@pytest.mark.parametrize("replaced", [True, False])
def test_a_file_in_the_place_of_another(replaced, tmp_path):
    """A backup that is restored, or none: whoever held the old file writes where every new process reads. What SQLite makes
    of a log that belongs to another file is not ours to say."""
    store = SQLiteStore(str(tmp_path / "keys.db"))
    store.swap([change("old", None, record(1))])
    if replaced:
        backup = SQLiteStore(str(tmp_path / "backup.db"))
        backup.swap([change("restored", None, record(1))])
        backup.close()
        (tmp_path / "backup.db").replace(tmp_path / "keys.db")
    else:
        (tmp_path / "keys.db").unlink()
    store.swap([change("new", None, record(1))])
    assert "new" in keys_in(store)


def test_expired_records_are_purged_and_live_ones_never(tmp_path):
    """A few with each call, by their own field."""
    store = SQLiteStore(str(tmp_path / "keys.db"))
    past = datetime.now(UTC) - timedelta(seconds=1)
    store.swap([change("new", None, record(1))])
    store.swap([change(f"old-{n}", None, record(1, expires_at=past)) for n in range(1000)])
    assert keys_in(store) == {"new"}, "a call removes as many as it adds, and some"
    assert store.swap([change("new", None, record(2))])[0].record == record(1)


def test_a_call_removes_a_few_expired_records_only(tmp_path):
    """The oldest, so that no call takes long however many there are."""
    store = SQLiteStore(str(tmp_path / "keys.db"))
    soon = datetime.now(UTC) + timedelta(seconds=0.4)
    store.swap([change(f"old-{n:03}", None, record(1, expires_at=soon)) for n in range(250)])
    assert len(keys_in(store)) == 250
    with closed(tmp_path) as connection:  # time passes
        past = (datetime.now(UTC) - timedelta(days=1)).isoformat(timespec="microseconds")
        connection.execute("UPDATE records SET expires_at = ?", (past,))
    store.swap([change("new", None, record(1))])
    assert len(keys_in(store)) == 250 - (sqlite.PURGE + 1) + 1


@contextmanager
def closed(folder: Path) -> Iterator[sqlite3.Connection]:
    """A connection of one's own to the store's file."""
    connection = sqlite3.connect(folder / "keys.db")
    try:
        yield connection
        connection.commit()
    finally:
        connection.close()


def keys_in(store: SQLiteStore) -> set[str]:
    """Return the keys in the file, read over another connection."""
    with closed(Path(store.path).parent) as connection:
        return {key for (key,) in connection.execute("SELECT key FROM records")}


def test_a_file_that_is_no_database(tmp_path):
    """Is a StoreError, and nothing of the call was made."""
    path = tmp_path / "keys.db"
    path.write_bytes(b"not a database" * 100)
    store = SQLiteStore(str(path))
    with pytest.raises(StoreError, match=r"keys\.db: file is not a database") as raised:
        store.swap([change("k", None, record(1))])
    assert isinstance(raised.value.__cause__, sqlite3.DatabaseError)
    path.unlink()
    assert store.swap([change("k", None, record(1))]) == [WON], "the next call has a connection of its own"


def test_a_folder_that_is_not_there(tmp_path):
    """Is a StoreError, and none once it is."""
    store = SQLiteStore(str(tmp_path / "folder" / "keys.db"))
    with pytest.raises(StoreError, match="unable to open"):
        store.swap([change("k", None, record(1))])
    (tmp_path / "folder").mkdir()
    assert store.swap([change("k", None, record(1))]) == [WON]


def test_a_record_that_cannot_be_read(tmp_path):
    """Fails its own key only. One that a newer version wrote, with a field more, is read."""
    store = SQLiteStore(str(tmp_path / "keys.db"))
    store.swap([change(key, None, record(1)) for key in "abc"])
    with closed(tmp_path) as connection:
        connection.execute("UPDATE records SET record = json_set(record, '$.more', 1) WHERE key = 'a'")
        connection.execute("UPDATE records SET record = '{' WHERE key = 'b'")
    answers = store.swap([change(key, 1, record(2)) for key in "abc"])
    assert [answer.won for answer in answers] == [True, False, True]
    assert [isinstance(answer.error, StoreError) for answer in answers] == [False, True, False]


def test_a_store_that_nobody_holds_lets_go_of_its_file(tmp_path):
    """And one that was closed opens it again."""
    store = SQLiteStore(str(tmp_path / "keys.db"))
    store.swap([change("k", None, record(1))])
    store.close()
    store.close()
    assert store.swap([change("k", 1, record(2))]) == [WON]
    assert (tmp_path / "keys.db-wal").exists()
    del store
    gc.collect()
    assert not (tmp_path / "keys.db-wal").exists()


def test_a_call_that_breaks_leaves_nothing(tmp_path):
    """One transaction: the changes before the fault are undone."""
    store = SQLiteStore(str(tmp_path / "keys.db"))
    broken = replace(record(1), detail=object())  # type: ignore[arg-type] # what no JSON holds
    with pytest.raises(TypeError):
        store.swap([change("a", None, record(1)), change("b", None, broken)])
    assert store.swap([change("a", None, record(2))]) == [WON]


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///var/lib/o.db", "/var/lib/o.db"),
        ("sqlite://o%20x.db", "o x.db"),
        ("sqlite:///var/o[1]#2?.db", "/var/o[1]#2?.db"),
    ],
)
def test_addresses(url, path):
    """An absolute path has a third slash."""
    assert sqlite.from_url(url).path == path


@pytest.mark.parametrize(
    ("url", "fix"),
    [
        ("sqlite:///", "names no file"),
        ("sqlite:", "names no file"),
        ("sqlite:///:memory:", "memory://"),
        ("sqlite://:memory:", "memory://"),
    ],
)
def test_an_address_without_a_file(url, fix):
    """Each thread of a memory database would have its own."""
    with pytest.raises(ConfigError, match=fix):
        sqlite.from_url(url)
