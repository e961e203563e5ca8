"""Stores and queues that fail now and then, around real ones: `sqs.bind(charge, store=FaultyStore(store, faults))`; and
queues that take less than others."""

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
    """By `faults.refuse` it does nothing, by `faults.stall` neither, after a while; by `faults.drop` it does and does not say
    so. All raise StoreError."""

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

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
        refused, dropped = self._outages.next()
        if refused:
            raise SendError("an outage on purpose: not sent")
        answers = self._sender.send(outgoing_messages)
        if dropped:
            raise SendError("an outage on purpose: sent, and not answered")
        return answers


class SmallQueue:
    """A queue that takes messages of `most` bytes, and says so by refusing one: real queues have limits of their own, too,
    which their senders learn in the same way."""

    def __init__(self, sender: Sender, most: int) -> None:
        self._sender = sender
        self._most = most
        self.limit = sys.maxsize

    def accepts(self, outgoing: OutgoingMessage, /) -> bool:
        return self.weigh(outgoing) <= self.limit

    def weigh(self, outgoing: OutgoingMessage, /) -> int:
        """Bytes of the body, the lineage, and the attributes with their names."""
        lineage = 0 if outgoing.bare else len(LINEAGE) + len(outgoing.lineage.dump().encode())
        return len(outgoing.body) + lineage + sum(len(name) + len(value) for name, value in outgoing.attributes.items())

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
        return [self._send(outgoing) for outgoing in outgoing_messages]

    def _send(self, outgoing: OutgoingMessage) -> SendError | None:
        fitted = prepare(outgoing, self)
        if isinstance(fitted, SendError):
            return fitted
        if self.weigh(fitted) > self._most:
            self.limit = self._most
            return SendError(f"the message must be shorter than {self._most} bytes")
        return self._sender.send([fitted])[0]


class Outages:
    """Drawn by the number of the call and by the process: an outage ends, and a process that starts anew does not meet
    the one that it died in."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._calls = itertools.count()

    def next(self) -> tuple[bool, bool]:
        """Whether this call is refused, and whether its answer is dropped. Returns late for one that stalls."""
        what = (os.getpid(), next(self._calls))
        stalled = self._faults.hits("stall", *what)
        if stalled:
            time.sleep(self._faults.stall_s)
        return stalled or self._faults.hits("refuse", *what), self._faults.hits("drop", *what)
