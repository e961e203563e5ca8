"""Stores and senders with injected failures, around real ones: `sqs.bind(charge, store=FaultyStore(store, faults))`; and a
sender with a low size limit."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Sequence

from cloudqueues.faults import Faults
from peeklock.errors import SendError, StoreError
from peeklock.idempotency.store import Answer, Change, Store
from peeklock.message import LINEAGE
from peeklock.outgoing import OutgoingMessage, Sender
from peeklock.sending.fitting import prepare


class FaultyStore:
    """Store whose calls fail at the rates of `faults`, with StoreError.

    `refuse`: fails without doing anything. `stall`: the same, after `stall_s` seconds. `drop`: does the call and loses the
    answer.
    """

    def __init__(self, store: Store, faults: Faults) -> None:
        self._store = store
        self._outages = Outages(faults)

    def swap(self, changes: Sequence[Change], /) -> Sequence[Answer]:
        refused, dropped = self._outages.next()
        if refused:
            raise StoreError("injected outage: not done")
        answers = self._store.swap(changes)
        if dropped:
            raise StoreError("injected outage: done, and not answered")
        return answers


class FaultySender:
    """Sender whose calls fail at the rates of `faults`, as those of `FaultyStore` do, with SendError."""

    def __init__(self, sender: Sender, faults: Faults) -> None:
        self._sender = sender
        self._outages = Outages(faults)

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
        refused, dropped = self._outages.next()
        if refused:
            raise SendError("injected outage: not sent")
        answers = self._sender.send(outgoing_messages)
        if dropped:
            raise SendError("injected outage: sent, and not answered")
        return answers


class SizeLimitedSender:
    """Sender to a queue that takes messages of `max_bytes` at most, and says so only by refusing one.

    Real queues may have lower limits than their service's quota, and their senders learn them in the same way.
    """

    def __init__(self, sender: Sender, max_bytes: int) -> None:
        self._sender = sender
        self._max_bytes = max_bytes
        self.limit = sys.maxsize

    def accepts(self, outgoing: OutgoingMessage, /) -> bool:
        return self.weigh(outgoing) <= self.limit

    def weigh(self, outgoing: OutgoingMessage, /) -> int:
        """Return the bytes of the body, the lineage, and the attributes with their names."""
        lineage = 0 if outgoing.bare else len(LINEAGE) + len(outgoing.lineage.dump().encode())
        return len(outgoing.body) + lineage + sum(len(name) + len(value) for name, value in outgoing.attributes.items())

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
        return [self._send(outgoing) for outgoing in outgoing_messages]

    def _send(self, outgoing: OutgoingMessage) -> SendError | None:
        fitted = prepare(outgoing, self)
        if isinstance(fitted, SendError):
            return fitted
        if self.weigh(fitted) > self._max_bytes:
            self.limit = self._max_bytes
            return SendError(f"the message must be shorter than {self._max_bytes} bytes")
        return self._sender.send([fitted])[0]


class Outages:
    """Draws failures by the number of the call and the process id, so that an outage ends, and a restarted process does
    not repeat the one that it died in."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._calls = itertools.count()

    def next(self) -> tuple[bool, bool]:
        """Return whether the next call is refused, and whether its answer is dropped. Sleeps first where it stalls."""
        call = (os.getpid(), next(self._calls))
        stalled = self._faults.hits("stall", *call)
        if stalled:
            time.sleep(self._faults.stall_s)
        return stalled or self._faults.hits("refuse", *call), self._faults.hits("drop", *call)
