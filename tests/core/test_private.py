"""Files with messages in them are for one user."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from peeklock import private_files as private
from peeklock.dev.state import opened
from peeklock.idempotency.store import Change
from peeklock.message import Lineage
from peeklock.outgoing import OutgoingMessage
from peeklock.sending import file
from peeklock.stores import sqlite
from tests.test_screen import Heard


@pytest.fixture(autouse=True)
def generous() -> Iterator[None]:
    """A umask that takes nothing away, whatever this process had."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_a_file_sender(tmp_path):
    """Created files and folders are private. (trials 2.4)"""
    path = tmp_path / "a" / "b" / "dead-letters.jsonl"
    sender = file.from_url(f"file://{path}")
    assert sender.send([OutgoingMessage(body=b"{}", lineage=Lineage(id="a"))]) == [None]
    assert (mode(path), mode(path.parent), mode(path.parent.parent)) == ("0o600", "0o700", "0o700")


def test_a_sqlite_store(tmp_path):
    """And the files that SQLite itself puts beside it. (trials 2.4)"""
    store = sqlite.from_url(f"sqlite://{tmp_path}/keys.db")
    store.swap([Change(key="k", expected=None, record=None)])
    with sqlite3.connect(tmp_path / "keys.db") as connection:
        connection.execute("SELECT * FROM records").fetchall()
        assert {path.name: mode(path) for path in tmp_path.iterdir()} == dict.fromkeys(
            ("keys.db", "keys.db-wal", "keys.db-shm"), "0o600"
        )
    connection.close()
    store.close()


def test_what_is_there_keeps_its_mode(tmp_path):
    """The owner has chosen it. (trials 2.4)"""
    dead_letters, keys = tmp_path / "dead-letters.jsonl", tmp_path / "keys.db"
    for path in (dead_letters, keys):
        path.touch(0o640)
    file.from_url(f"file://{dead_letters}").send([OutgoingMessage(body=b"{}", lineage=Lineage(id="a"))])
    store = sqlite.from_url(f"sqlite://{keys}")
    store.swap([Change(key="k", expected=None, record=None)])
    store.close()
    assert (mode(dead_letters), mode(keys)) == ("0o640", "0o640")


def test_the_state_of_dev(tmp_path):
    """The folder, and in it the addresses. (trials 2.4)"""
    with opened(tmp_path, Heard()) as state:
        state.write_addresses({"sqs": {"A": "b"}})
        state.write_addresses({"sqs": {"A": "c"}})
        assert mode(state.folder) == "0o700"
        assert mode(state.folder / "dev.json") == "0o600"
        assert '"c"' in (state.folder / "dev.json").read_text()
        assert sorted(path.name for path in state.folder.iterdir()) == [".gitignore", "dev.json", "lock"]


def test_a_folder_that_is_there(tmp_path):
    """Is left as it is; what is in the way is an error."""
    private.make_folder(tmp_path)
    tmp_path.joinpath("file").touch()
    with pytest.raises(OSError, match="file"):
        private.make_folder(tmp_path / "file" / "folder")
