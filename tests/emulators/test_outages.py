"""Stores and queues that fail on purpose."""

from __future__ import annotations

import pytest

from cloudqueues.faults import Faults
from peeklock.errors import SendError, StoreError
from peeklock.idempotency.store import Change
from peeklock.message import Lineage, Message
from peeklock.outgoing import OutgoingMessage
from peeklock.stores.memory import MemoryStore
from peeklock.testing import Outbox
from peeklock.testing.outages import FaultySender, FaultyStore, SmallQueue
from tests.contracts.test_store import record

CHANGE = Change(key="k", expected=None, record=record())
OUTGOING = OutgoingMessage(body=b"{}", lineage=Lineage(id="m"))


def test_what_is_refused_is_not_done():
    """And says so."""
    store, outbox = MemoryStore(), Outbox()
    with pytest.raises(StoreError, match="not done"):
        FaultyStore(store, Faults(refuse=1)).swap([CHANGE])
    with pytest.raises(SendError, match="not sent"):
        FaultySender(outbox, Faults(refuse=1)).send([OUTGOING])
    assert not store.records
    assert not outbox.outgoing_messages


def test_what_is_dropped_is_done():
    """And nobody knows."""
    store, outbox = MemoryStore(), Outbox()
    with pytest.raises(StoreError, match="not answered"):
        FaultyStore(store, Faults(drop=1)).swap([CHANGE])
    with pytest.raises(SendError, match="not answered"):
        FaultySender(outbox, Faults(drop=1)).send([OUTGOING])
    assert list(store.records) == ["k"]
    assert outbox.outgoing_messages == [OUTGOING]


def test_without_a_fault_nothing_changes():
    """And a seed fails the same calls each time, within a process."""
    store, outbox = MemoryStore(), Outbox()
    assert FaultyStore(store, Faults()).swap([CHANGE])[0].won
    assert FaultySender(outbox, Faults()).send([OUTGOING]) == [None]

    def failed(seed: int) -> list[bool]:
        faulty, results = FaultySender(Outbox(), Faults(seed=seed, refuse=0.3)), []
        for _ in range(50):
            try:
                faulty.send([OUTGOING])
                results.append(False)
            except SendError:
                results.append(True)
        return results

    assert failed(1) == failed(1) != failed(2)
    assert 0 < sum(failed(1)) < 50


def test_what_stalls_fails_late_and_is_not_done():
    """The store and the queue alike."""
    store, outbox = MemoryStore(), Outbox()
    faults = Faults(stall=1, stall_s=0.01)
    with pytest.raises(StoreError, match="not done"):
        FaultyStore(store, faults).swap([CHANGE])
    with pytest.raises(SendError, match="not sent"):
        FaultySender(outbox, faults).send([OUTGOING])
    assert not store.records
    assert not outbox.outgoing_messages


def test_a_small_queue_says_its_limit_by_refusing():
    """Afterwards what is sent is made to fit; what cannot be is refused."""
    outbox = Outbox()
    queue = SmallQueue(outbox, most=300)
    origin = Message("m", b"x" * 200, "orders")
    detail = {"peeklock-reason": "fatal", "peeklock-detail": "so it is " * 100}
    dead_letter = OutgoingMessage(
        body=b"x" * 200, lineage=Lineage(id="m"), attributes=detail, origin=origin, dead_letter=True
    )
    (refused,) = queue.send([dead_letter])
    assert "must be shorter than 300 bytes" in str(refused)
    assert queue.send([dead_letter]) == [None]
    (taken,) = outbox.outgoing_messages
    assert queue.weigh(taken) <= 300
    (refused,) = queue.send([OutgoingMessage(body=b"x" * 299, lineage=Lineage(id="new"))])
    assert "does not fit" in str(refused)
