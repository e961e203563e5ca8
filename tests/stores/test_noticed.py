"""Tests for planted faults in stores that no other test notices: the text of a record, forks, and threads."""

from __future__ import annotations

import os
import threading
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from peeklock.errors import StoreError
from peeklock.idempotency.record import Record, State
from peeklock.idempotency.store import Change
from peeklock.stores.memory import MemoryStore
from peeklock.stores.record_json import dump, load, text_of
from peeklock.stores.sqlite import SQLiteStore

MOMENT = datetime(2026, 11, 25, 12, 30, 15, 5, tzinfo=UTC)
PLAIN = Record(state=State.RUNNING, version=1, owner="w", message="m", expires_at=MOMENT, lease_until=MOMENT)
OTHERS: dict[str, Any] = {"str": "text", "int": 7, "bool": True, "datetime | None": MOMENT}
"""A value of each type that a field may have, other than its default."""


def test_every_field_of_a_record_comes_back():
    """Each by itself, so that one which is left out is seen. (trials 6)"""
    for field in fields(Record):
        if field.type in OTHERS and field.name != "extra":
            changed = replace(PLAIN, **{field.name: OTHERS[str(field.type)]})
            assert load(dump(changed)) == changed, field.name


def test_equal_moments_are_equal_texts():
    """Whatever zone they come in; and of one width, as they are sorted by the database. (trials 6)"""
    berlin = MOMENT.astimezone(timezone(timedelta(hours=1)))
    assert text_of(berlin) == text_of(MOMENT) == "2026-11-25T12:30:15.000005+00:00"
    assert len(text_of(MOMENT.replace(microsecond=0))) == len(text_of(MOMENT))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_connection_of_sqlite_does_not_cross_a_fork(tmp_path):
    """It is closed before; the child's first call opens its own. (trials 6)"""
    store = SQLiteStore(str(tmp_path / "keys.db"))
    store.swap([Change(key="a", expected=None, record=PLAIN)])
    assert store._connection is not None
    child = os.fork()
    if child == 0:
        os._exit(0 if store._connection is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.swap([Change(key="a", expected=1, record=None)])[0].won
    store.close()


class Meeting(dict[str, Record]):
    """Records that two threads may look at together, if anything lets them."""

    def __init__(self) -> None:
        super().__init__()
        self.barrier = threading.Barrier(2, timeout=0.2)
        self.met = False

    def get(self, key: str, default: Any = None) -> Any:
        try:
            self.barrier.wait()
            self.met = True
        except threading.BrokenBarrierError:
            self.barrier.reset()
        return super().get(key, default)


def test_two_threads_never_swap_at_once_in_memory():
    """Each reads and writes alone. (trials 6)"""
    store = MemoryStore()
    store.records = Meeting()
    change = Change(key="a", expected=None, record=PLAIN)
    threads = [threading.Thread(target=store.swap, args=([change],)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not store.records.met


def test_a_broken_connection_of_sqlite_is_replaced(tmp_path):
    """Whatever it suffers from, the next call has another one. (trials 6)"""
    store = SQLiteStore(str(tmp_path / "keys.db"))
    change = Change(key="a", expected=None, record=PLAIN)
    store.swap([change])
    assert store._connection is not None
    store._connection.close()
    with pytest.raises(StoreError):
        store.swap([change])
    assert store.swap([change])[0].won
    store.close()
