"""Handlers of the soak: every way for a message to go, over a store and queues that fail now and then.

It writes down what it does, in a file that outlives any process: the ledger, which the laws are checked on.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from cloudqueues.faults import Faults
from peeklock import Message, Queue, Retry, consumer
from peeklock.errors import SendError, StoreError
from peeklock.idempotency import arrival
from peeklock.idempotency.record import Record, State
from peeklock.idempotency.store import Answer, Change, Store
from peeklock.outgoing import OutgoingMessage, Sender
from peeklock.registry import open_sender, open_store
from peeklock.testing.outages import FaultySender, FaultyStore, SizeLimitedSender
from tests.soak.plan import DEAD_LETTER_BYTES

BUG = os.environ.get("SOAK_BUG", "")
LEDGER = os.open(os.environ["SOAK_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
SEED = int(os.environ["SOAK_SEED"])
LIMIT = float(os.environ["SOAK_LIMIT"])
STORE = Faults(seed=SEED, refuse=0.01, drop=0.01, stall=0.005)
QUEUES = Faults(seed=SEED, refuse=0.2 if BUG == "early" else 0.01, drop=0.01, stall=0.005)
"""That bug shows only where a send fails, which among 300 messages has to happen for certain."""

_numbers = itertools.count()


def note(what: str, key: str, **more: object) -> None:
    """One line, in one write. The clock is the machine's, the same for all processes."""
    line = {"at": time.monotonic_ns(), "what": what, "key": key, "pid": os.getpid(), **more}
    os.write(LEDGER, json.dumps(line).encode() + b"\n")


class Noting:
    """Writes down which successes are recorded, and which may not be."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def swap(self, changes: Sequence[Change], /) -> Sequence[Answer]:
        done = [change for change in changes if change.record is not None and change.record.state is State.DONE]
        try:
            answers = self._store.swap(changes)
        except StoreError:
            for change in done:
                note("unsure", change.key.partition("/")[2])
            raise
        won = {change.key for change, answer in zip(changes, answers, strict=True) if answer.won}
        for change in done:
            if change.key in won and change.record is not None:
                note("done", change.key.partition("/")[2], life=change.record.generation)
        return answers


class Unfenced:
    """The planted bug: what runs elsewhere is overwritten, and what is done."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def swap(self, changes: Sequence[Change], /) -> Sequence[Answer]:
        return [self._force(change) for change in changes]

    def _force(self, change: Change) -> Answer:
        first = self._store.swap([change])[0]
        if first.record is None or first.record.state not in {State.RUNNING, State.DONE}:
            return first
        return self._store.swap([replace(change, expected=first.record.version)])[0]


class Early:
    """The planted bug: acknowledged, and published perhaps."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
        with contextlib.suppress(SendError):
            self._sender.send(outgoing_messages)
        return [None] * len(outgoing_messages)


if BUG == "generations":
    _arrive = arrival.arrive

    def _first_life(record: Record | None, lineage: Any, *rest: Any) -> Any:
        """The planted bug: a redriven dead letter is taken for its first life."""
        return _arrive(record, replace(lineage, generation=0), *rest)

    arrival.arrive = _first_life  # type: ignore[assignment] # with the same arguments


class Declined(Exception):
    """Fatal."""


ORDERS = Queue(
    "orders", max_attempts=6, timeout=2, first_delay=0.2, max_delay=1, fifo=os.environ.get("SOAK_FIFO") == "1"
)


@consumer(ORDERS, key="key", fatal=(Declined,))
def handle(order: dict, message: Message) -> None:  # type: ignore[type-arg] # the bare annotation is the documented one
    key, run = order["key"], next(_numbers)
    note("start", key, run=run, life=message.effective_lineage.generation)
    try:
        act(order, message)
    finally:
        note("end", key, run=run)


def act(order: dict[str, Any], message: Message) -> None:
    key, kind, first = order["key"], order["kind"], is_first(message)
    match kind:
        case "fatal":
            raise Declined("no")
        case "mended" | "large" if message.effective_lineage.generation == 0:
            raise Declined("not in this life" + ", for a reason of many words" * (20 if kind == "large" else 0))
        case "bad":
            raise ValueError("never")
        case "flaky" if first:
            raise ValueError("not yet")
        case "patient" if first:
            raise Retry("later", after=1)
        case "dies_before" if first:
            die(key)
    note("effect", key)
    if kind == "dies_after" and first:
        die(key)


def is_first(message: Message) -> bool:
    """A store without fences forgets attempts: for it, what dies at its first would die for ever."""
    return message.attempt == 1 and (BUG != "unfenced" or message.delivery == 1)


def die(key: str) -> None:
    note("crash", key)
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)


def options() -> dict[str, Any]:
    """For bind: all that can fail, failing."""
    store = open_store(os.environ["PEEKLOCK_STORE"])
    queue = SizeLimitedSender(open_sender(os.environ["PEEKLOCK_ORDERS_DEAD_LETTER"]), max_bytes=DEAD_LETTER_BYTES)
    dead_letters: Sender = FaultySender(queue, QUEUES)
    return {
        "store": Noting(FaultyStore(Unfenced(store) if BUG == "unfenced" else store, STORE)),
        "dead_letter": Early(dead_letters) if BUG == "early" else dead_letters,
    }


def timed(entry: Callable[..., Any]) -> Callable[..., Any]:
    """An entry point that writes down how long each event took."""

    def answer(*args: Any, **kwargs: Any) -> Any:
        began = time.monotonic()
        try:
            return entry(*args, **kwargs)
        finally:
            note("event", "", seconds=time.monotonic() - began, limit=LIMIT)

    for name in ("__name__", "__qualname__", "__annotations__", "__signature__"):
        if hasattr(entry, name):  # no `__wrapped__`, by which a host would find what is beneath
            setattr(answer, name, getattr(entry, name))
    return answer


def copies() -> dict[str, Any]:
    return {"queue": FaultySender(open_sender(os.environ["PEEKLOCK_ORDERS_URL"]), QUEUES)}
