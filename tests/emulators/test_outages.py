"""Stores and queues that fail on purpose."""

from __future__ import annotations

import pytest

from peeklock.emulators.faults import Faults
from peeklock.emulators.outages import FaultySender, FaultyStore
from peeklock.errors import SendError, StoreError
from peeklock.message import Trail
from peeklock.parcel import Parcel
from peeklock.store import Change
from peeklock.stores.memory import MemoryStore
from peeklock.testing import Outbox
from tests.contracts.test_store import record

CHANGE = Change(key="k", expected=None, record=record())
PARCEL = Parcel(body=b"{}", trail=Trail(id="m"))


def test_what_is_refused_is_not_done():
    """And says so."""
    store, outbox = MemoryStore(), Outbox()
    with pytest.raises(StoreError, match="not done"):
        FaultyStore(store, Faults(refuse=1)).swap([CHANGE])
    with pytest.raises(SendError, match="not sent"):
        FaultySender(outbox, Faults(refuse=1)).send([PARCEL])
    assert not store.records
    assert not outbox.parcels


def test_what_is_dropped_is_done():
    """And nobody knows."""
    store, outbox = MemoryStore(), Outbox()
    with pytest.raises(StoreError, match="not answered"):
        FaultyStore(store, Faults(drop=1)).swap([CHANGE])
    with pytest.raises(SendError, match="not answered"):
        FaultySender(outbox, Faults(drop=1)).send([PARCEL])
    assert list(store.records) == ["k"]
    assert outbox.parcels == [PARCEL]


def test_without_a_fault_nothing_changes():
    """And a seed fails the same calls each time, within a process."""
    store, outbox = MemoryStore(), Outbox()
    assert FaultyStore(store, Faults()).swap([CHANGE])[0].won
    assert FaultySender(outbox, Faults()).send([PARCEL]) == [None]

    def failed(seed: int) -> list[bool]:
        faulty, results = FaultySender(Outbox(), Faults(seed=seed, refuse=0.3)), []
        for _ in range(50):
            try:
                faulty.send([PARCEL])
                results.append(False)
            except SendError:
                results.append(True)
        return results

    assert failed(1) == failed(1) != failed(2)
    assert 0 < sum(failed(1)) < 50
