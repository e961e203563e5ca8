"""Stores and queues that fail now and then, around real ones: `sqs.bind(charge, store=FaultyStore(store, faults))`."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence

from peeklock.emulators.faults import Faults
from peeklock.errors import SendError, StoreError
from peeklock.parcel import Parcel, Sender
from peeklock.store import Answer, Change, Store


class FaultyStore:
    """By `faults.refuse` it does nothing, by `faults.drop` it does and does not say so; both raise StoreError."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self._store = store
        self._outages = Outages(faults)

    def swap(self, changes: Sequence[Change], /) -> Sequence[Answer]:
        refused, dropped = self._outages.next()
        if refused:
            raise StoreError("an outage on purpose: not done")
        answers = self._store.swap(changes)
        if dropped:
            raise StoreError("an outage on purpose: done, and not answered")
        return answers


class FaultySender:
    """As `FaultyStore`, with SendError."""

    def __init__(self, sender: Sender, faults: Faults) -> None:
        self._sender = sender
        self._outages = Outages(faults)

    def send(self, parcels: Sequence[Parcel], /) -> Sequence[SendError | None]:
        refused, dropped = self._outages.next()
        if refused:
            raise SendError("an outage on purpose: not sent")
        answers = self._sender.send(parcels)
        if dropped:
            raise SendError("an outage on purpose: sent, and not answered")
        return answers


class Outages:
    """Drawn by the number of the call and by the process: an outage ends, and a process that starts anew does not meet
    the one that it died in."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._calls = itertools.count()

    def next(self) -> tuple[bool, bool]:
        """Whether this call is refused, and whether its answer is dropped."""
        what = (os.getpid(), next(self._calls))
        return self._faults.hits("refuse", *what), self._faults.hits("drop", *what)
