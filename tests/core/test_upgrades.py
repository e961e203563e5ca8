"""Two releases at once: an older one meets what a newer one has written."""

from __future__ import annotations

import json
import logging
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from peeklock import Queue, consumer
from peeklock.engine.bound_consumer import Delays
from peeklock.engine.run import handle
from peeklock.errors import UnreadableRecord
from peeklock.idempotency.record import Record, State
from peeklock.message import MAX_EXTRA, Lineage
from peeklock.stores.etag_store import ETagStore, Row
from peeklock.stores.record_json import dump, load
from peeklock.stores.sqlite import SQLiteStore
from peeklock.testing import FakeClock, Outbox
from tests.core.world import bound_for, message
from tests.stores.rows import MemoryRows

LATER = datetime(2099, 1, 1, tzinfo=UTC)
PLAIN = Record(state=State.WAITING, version=5, owner="w", message="m-1", expires_at=LATER, lease_until=LATER)
NEWER = {"slot": [1, {"b": 2, "a": "ü"}], "a_new_flag": True}


def written(**changes: Any) -> str:
    return json.dumps({**json.loads(dump(PLAIN)), **changes})


def test_what_a_newer_release_added_is_written_back():
    """In one order, so that two processes write the same text of the same record."""
    record = load(written(**NEWER))
    assert record == replace(PLAIN, extra=record.extra)
    assert json.loads(dump(record)) == {**json.loads(dump(PLAIN)), **NEWER}
    assert dump(record) == dump(load(written(**dict(reversed(NEWER.items())))))
    assert load(dump(record)) == record
    assert hash(record) == hash(load(dump(record)))


UNREADABLE = {
    "state": "throttling",
    "attempts": "3",
    "counted": 1,
    "lost": True,
    "message": None,
    "version": 1.5,
    "lease_until": 12,
    "expires_at": "2099-01-01T00:00:00",
    "due": "soon",
    "extra": 3,
}


@pytest.mark.parametrize("name", [name for name in UNREADABLE if name != "extra"])
def test_what_cannot_be_understood_is_unreadable(name):
    """A field of another type, and a state that is not known."""
    with pytest.raises(UnreadableRecord, match=r"cannot be read: .+"):
        load(written(**{name: UNREADABLE[name]}))


@pytest.mark.parametrize("state", ["dead_lettering", "dead_lettered"])
def test_an_unknown_verdict_is_unreadable(state):
    """The dead letter would have no reason."""
    with pytest.raises(UnreadableRecord, match="'sulked' is not a known reason"):
        load(written(state=state, reason="sulked"))
    assert load(written(state=state, reason="fatal")).reason == "fatal"


@pytest.mark.parametrize("text", ["", "{", "[]", "1", "{}", "null", "[" * 100_000])
def test_what_is_no_record_is_unreadable(text):
    """Whatever it is."""
    with pytest.raises(UnreadableRecord):
        load(text)


def test_a_field_may_be_absent_or_empty():
    """An older release leaves it out, and a newer one may write it empty."""
    assert load(written(due=None)) == PLAIN
    due = replace(PLAIN, due=LATER)
    assert load(dump(due)) == due


# -- each store


class OfRows:
    """A store on a database that compares tags."""

    def __init__(self) -> None:
        self.rows = MemoryRows()
        self.store = ETagStore(self.rows)

    def put(self, key: str, text: str) -> None:
        self.rows.rows[key] = Row(etag=object(), text=text)

    def text(self, key: str) -> str:
        return self.rows.rows[key].text


class OfSQLite:
    """A store in a file."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.store = SQLiteStore(path)
        self.store.swap([])
        self.store._connect()

    def put(self, key: str, text: str) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", (key, LATER.isoformat(), text))

    def text(self, key: str) -> str:
        with closing(sqlite3.connect(self.path)) as connection:
            return str(connection.execute("SELECT record FROM records WHERE key = ?", (key,)).fetchone()[0])


@pytest.fixture(params=["rows", "sqlite"])
def held(request, tmp_path):
    opened = OfRows() if request.param == "rows" else OfSQLite(str(tmp_path / "keys.db"))
    yield opened
    if isinstance(opened, OfSQLite):
        opened.store.close()


class Counting:
    """Counts the calls of a store."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.calls = 0

    def swap(self, changes):
        self.calls += 1
        return self.store.swap(changes)


def test_an_unknown_state_is_unavailable_and_said_once(held, caplog):
    """It comes back after `max_delay`, asks the store once each time, and its neighbour runs."""
    queue = Queue(f"upgraded-{type(held).__name__}", max_delay=700)
    seen = []

    @consumer(queue)
    def handler(payload: dict) -> None:
        seen.append(payload)

    held.put(f"{queue.name}#new", written(state="throttling"))
    store, clock = Counting(held.store), FakeClock(datetime(2026, 1, 1, tzinfo=UTC))
    bound = bound_for(handler, store=store, clock=clock)
    for _ in range(3):
        before = store.calls
        (delivery,) = handle(bound, [message({}, id="new")])
        assert (delivery.outcome.disposition, delivery.outcome.reason) == ("abandon", "unavailable")
        assert delivery.outcome.delay is not None
        assert delivery.outcome.delay.total_seconds() == 700
        assert store.calls == before + 1
    outcomes = [
        delivery.outcome.reason for delivery in handle(bound, [message({}, id="new"), message({"n": 1}, id="old")])
    ]
    assert (outcomes, seen) == (["unavailable", "done"], [{"n": 1}])
    said = [entry for entry in caplog.records if entry.msg == "peeklock.unreadable %s"]
    assert [entry.levelno for entry in said] == [logging.WARNING]
    assert "throttling" in caplog.text
    assert json.loads(held.text(f"{queue.name}#new"))["state"] == "throttling", "and is left alone"


def test_another_unknown_state_is_said_again(held, caplog):
    """Once a state of the key."""
    queue = Queue(f"changing-{type(held).__name__}")

    @consumer(queue)
    def handler(payload: dict) -> None: ...

    bound = bound_for(handler, store=held.store)
    for state in ("one", "two", "one"):
        held.put(f"{queue.name}#m-1", written(state=state))
        handle(bound, [message({})])
    assert caplog.text.count("peeklock.unreadable") == 2


@pytest.mark.parametrize("fails", [False, True])
def test_a_run_keeps_what_a_newer_release_added(held, fails):
    """Through the claim and what follows it."""

    @consumer(Queue("orders"))
    def handler(payload: dict) -> None:
        if fails:
            raise ValueError("no")

    held.put("orders#m-1", written(**NEWER))
    clock = FakeClock(datetime(2090, 1, 1, tzinfo=UTC))  # a store removes what has expired by its own clock
    (delivery,) = handle(bound_for(handler, store=held.store, clock=clock), [message({})])
    assert delivery.outcome.reason == ("retry" if fails else "done")
    parts = json.loads(held.text("orders#m-1"))
    assert parts["state"] == ("waiting" if fails else "done")
    assert {name: parts[name] for name in NEWER} == NEWER


# -- lineage


def test_a_lineage_keeps_what_a_newer_release_added():
    """In copies and dead letters, which may go to the newer release."""
    lineage = Lineage.load(json.dumps({"id": "m-1", "attempts": 1, **NEWER}))
    assert lineage is not None
    assert hash(lineage)
    for later in (lineage, lineage.copy(copy_number=1, attempts=2), lineage.dead_letter()):
        parts = json.loads(later.dump())
        assert {name: parts[name] for name in NEWER} == NEWER
        assert Lineage.load(later.dump()) == later
    assert lineage.dead_letter() == Lineage(id="m-1", generation=1, extra=lineage.extra)


def test_a_lineage_takes_no_load():
    """Any producer may write the attribute: what a newer release adds is small."""
    lineage = Lineage.load(json.dumps({"id": "m-1", "load": "x" * MAX_EXTRA}))
    assert lineage == Lineage(id="m-1")


def test_copies_and_dead_letters_carry_it(tmp_path):
    """The engine passes it on."""
    copies, dead_letters = Outbox(), Outbox()

    @consumer(Queue("orders", max_attempts=2))
    def handler(payload: dict) -> None:
        raise ValueError("no")

    lineage = Lineage.load('{"id":"m-1","new":7}')
    bound = bound_for(
        handler,
        store=SQLiteStore(str(tmp_path / "records.db")),
        copies=copies,
        dead_letters=dead_letters,
        delays=Delays.COPY,
    )
    handle(bound, [message({}, lineage=lineage)])
    assert json.loads(copies.outgoing_messages[0].lineage.dump())["new"] == 7
    handle(bound, [message({}, lineage=copies.outgoing_messages[0].lineage)])
    assert json.loads(dead_letters.outgoing_messages[0].lineage.dump())["new"] == 7
