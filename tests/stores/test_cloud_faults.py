"""Tables and Firestore when something goes wrong on the way, and what a message costs when nothing does."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from peeklock import Queue, consumer
from peeklock.idempotency.record import Record, State
from peeklock.idempotency.store import WON
from peeklock.outcome import Disposition, Reason
from peeklock.stores import firestore, tables, tables_client
from peeklock.stores.etag_store import ETagStore
from peeklock.testing import deliver
from tests.contracts.stores import change, record
from tests.stores import servers_cloud as servers
from tests.stores.fronts import Fault, Front, grpc_front, http_front

QUEUE = Queue("orders", max_attempts=3, timeout=30, first_delay=2)
PATIENCE = {"tables": tables_client.READ_SECONDS, "firestore": firestore.SECONDS}

pytestmark = pytest.mark.servers
CLOUDS = ("tables", "firestore")


@dataclass(frozen=True, slots=True)
class World:
    """A store behind a front, and another process's store on the same database without one."""

    name: str
    front: Front
    store: ETagStore
    second: ETagStore

    def there(self, key: str) -> Record | None:
        """The record that the database holds."""
        (answer,) = self.second.swap([change(key, -1, record(-1, owner="probe"))])
        assert answer.error is None
        return answer.record

    def requests(self) -> list[str]:
        """Those since the last time."""
        requests, self.front.requests[:] = list(self.front.requests), []
        return requests


@pytest.fixture(params=CLOUDS)
def world(request) -> Iterator[World]:
    with {"tables": on_tables, "firestore": on_firestore}[request.param]() as opened:
        yield opened


@contextmanager
def on_tables() -> Iterator[World]:
    with (
        servers.new_table() as name,
        http_front(servers.azurite()) as front,
        servers.table_client(front.port, name) as client,
        servers.table_client(servers.azurite(), name) as direct,
    ):
        stores = [
            tables.from_url(f"tables://{servers.ACCOUNT}/{name}", lambda *_, to=to: to) for to in (client, direct)
        ]
        yield World("tables", front, *stores)


@contextmanager
def on_firestore() -> Iterator[World]:
    name = f"c{uuid.uuid4().hex}"
    with (
        grpc_front(servers.emulator()) as front,
        servers.firestore_at(servers.emulator(), name) as second,
        servers.firestore_at(front.port, name) as store,
    ):
        yield World("firestore", front, store, second)


@pytest.mark.parametrize("fault", [Fault.BUSY, Fault.BROKEN])
def test_a_refusal_is_not_asked_again_by_the_sdk(world, fault):
    """The engine retries, since it knows the deadline. Nothing was made."""
    world.front.faults.append(fault)
    (answer,) = world.store.swap([change("k", None, record(1))])
    assert not answer.won
    assert answer.error is not None
    assert len(world.requests()) == 1
    assert world.there("k") is None
    assert world.store.swap([change("k", None, record(1))]) == [WON]


def test_no_answer_in_time(world):
    """Is an error soon."""
    world.front.faults.append(Fault.STALLED)
    began = time.monotonic()
    (answer,) = world.store.swap([change("k", None, record(1))])
    assert PATIENCE[world.name] * 0.9 < time.monotonic() - began < PATIENCE[world.name] + 2
    assert answer.error is not None
    assert len(world.requests()) == 1
    assert world.store.swap([change("k", None, record(1))]) == [WON]


def test_nobody_listens():
    """Is an error at once."""
    with servers.table_client(servers.free_port(), "leases") as client:
        nowhere = tables.from_url("tables://contosoorders/leases", lambda *_: client)
        assert nowhere.swap([change("k", None, record(1))])[0].error is not None
    with servers.firestore_at(servers.free_port(), "leases") as nowhere:
        assert "ServiceUnavailable" in str(nowhere.swap([change("k", None, record(1))])[0].error)


def test_a_lost_answer(world):
    """A claim, a record and a removal win when sent again, though the cached etag is outdated."""
    for asked in (change("k", None, record(1)), change("k", 1, record(2)), change("k", 2, None)):
        world.front.faults.append(Fault.LOST)
        (unknown,) = world.store.swap([asked])
        assert unknown.error is not None
        assert world.there("k") == asked.record
        assert world.store.swap([asked]) == [WON]


def test_a_lost_answer_and_then_another_s_record(world):
    """The change was made and has been followed by others: it is lost, and the newest record is told."""
    world.front.faults.append(Fault.LOST)
    world.store.swap([change("k", None, record(1))])
    world.second.swap([change("k", 1, record(2))])
    (lost,) = world.store.swap([change("k", None, record(1))])
    assert (lost.won, lost.record, lost.error) == (False, record(2), None)


def test_a_partial_answer(world):
    """One of three is throttled; the others have won. Asked again, all have."""
    asked = [change(f"k{n}", None, record(n + 1)) for n in range(3)]
    world.front.faults.append(Fault.PART if world.name == "firestore" else Fault.BUSY)
    answers = world.store.swap(asked)
    (failed,) = [n for n, answer in enumerate(answers) if answer.error]
    assert world.there(f"k{failed}") is None
    assert [answer.won for answer in answers].count(True) == 2
    assert world.store.swap(asked) == [WON] * 3
    assert [world.there(f"k{n}") for n in range(3)] == [each.record for each in asked]


def test_a_read_without_an_answer(world):
    """The claim is lost, and to whom is not known."""
    world.second.swap([change("k", None, record(1))])
    world.front.faults.extend([Fault.NONE, Fault.BUSY])
    (answer,) = world.store.swap([change("k", None, record(2))])
    assert (answer.won, answer.record) == (False, None)
    assert answer.error is not None


@pytest.fixture
def charge(world):
    """A consumer that notes its runs, and lets `charge.then` go wrong with the store."""

    @consumer(QUEUE, key="order")
    def handler(payload: dict) -> None:
        handler.runs.append(payload["order"])
        handler.then()

    handler.runs, handler.then = [], lambda: None
    return handler


def test_the_store_is_down_at_the_claim(world, charge):
    """Unavailable: the handler does not run, and the message comes back. Three tries, and then no more."""
    world.front.always = Fault.BUSY
    outcome = deliver(charge, {"order": "o"}, store=world.store)
    assert (outcome.disposition, outcome.reason) == (Disposition.ABANDON, Reason.UNAVAILABLE)
    assert (charge.runs, len(world.requests())) == ([], 3)
    world.front.always = None
    assert deliver(charge, {"order": "o"}, store=world.store).reason == Reason.DONE


def test_the_store_is_down_at_the_record(world, charge, caplog):
    """Completed all the same, as its effect has happened; the loss of the record is an error in the log."""

    def down() -> None:
        world.front.always = Fault.BUSY

    charge.then = down
    outcome = deliver(charge, {"order": "o"}, store=world.store)
    assert (outcome.disposition, outcome.reason) == (Disposition.COMPLETE, Reason.DONE)
    assert "peeklock.unrecorded" in caplog.text
    kept = world.there("orders/o")
    assert kept is not None
    assert kept.state is State.RUNNING
    world.front.always = None
    assert deliver(charge, {"order": "o"}, store=world.store, id="again").reason == Reason.BUSY
    assert charge.runs == ["o"]


def test_a_lost_answer_at_claim_and_record(world, charge, caplog):
    """Run once, recorded, and a duplicate afterwards."""
    world.front.faults.append(Fault.LOST)
    charge.then = lambda: world.front.faults.append(Fault.LOST)
    assert deliver(charge, {"order": "o"}, store=world.store).reason == Reason.DONE
    kept = world.there("orders/o")
    assert kept is not None
    assert kept.state is State.DONE
    assert deliver(charge, {"order": "o"}, store=world.store, id="again").reason == Reason.DUPLICATE
    assert charge.runs == ["o"]
    assert "unrecorded" not in caplog.text


COSTS = {
    "tables": {"first": ["POST", "PUT"], "duplicate": ["POST", "GET"], "retry": ["POST", "GET", "PUT", "PUT"]},
    "firestore": {
        "first": ["write", "write"],
        "duplicate": ["write", "read"],
        "retry": ["write", "read", "write", "write"],
    },
}
"""Requests that docs/stores-tables.md and docs/stores-firestore.md state."""


def test_what_a_message_costs(world, charge):
    """First delivery, duplicate, and retry, in requests: in the same process or in another."""
    costs = COSTS[world.name]
    assert deliver(charge, {"order": "o"}, store=world.store).reason == Reason.DONE
    assert world.requests() == costs["first"]
    assert deliver(charge, {"order": "o"}, store=world.store, id="again").reason == Reason.DUPLICATE
    assert world.requests() == costs["duplicate"]

    def fail() -> None:
        raise RuntimeError

    charge.then = fail
    assert deliver(charge, {"order": "p"}, store=world.store, id="p").reason == Reason.RETRY
    assert world.requests() == costs["first"]
    charge.then = lambda: None
    assert deliver(charge, {"order": "p"}, store=world.store, id="p").reason == Reason.DONE
    assert world.requests() == costs["retry"]
