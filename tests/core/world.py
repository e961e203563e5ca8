"""Doubles and builders: stores and queues that fail when told, and the plan to run over them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

from peeklock import Queue, consumer
from peeklock.engine.bound_consumer import BoundConsumer
from peeklock.errors import SendError, StoreError
from peeklock.idempotency.record import State
from peeklock.idempotency.store import Answer, Change
from peeklock.message import Lineage, Message
from peeklock.outgoing import OutgoingMessage
from peeklock.stores.memory import MemoryStore
from peeklock.testing import FakeClock, Outbox
from peeklock.testing.deliver import bound_for as bound_for_test
from peeklock.timing.clock import Clock

QUEUE = Queue("orders", max_attempts=3, timeout=30, first_delay=2)


class Crash(BaseException):
    """The process dies here: nothing after it happens, and the event is never settled."""


class Script:
    """Says yes until its list of calls that go wrong is reached. What goes wrong is up to the caller."""

    def __init__(self, wrong: dict[int, str]) -> None:
        self.wrong = wrong
        self.calls = 0

    def next(self) -> str:
        self.calls += 1
        return self.wrong.get(self.calls, "")


class FlakyStore:
    """A memory store with faults by the number of the call: `before` fails, `after` makes the changes and loses the
    answer, `short` answers too few, `crash_before` and `crash_after` end the process."""

    def __init__(self, store: MemoryStore, script: Script) -> None:
        self.store = store
        self.script = script
        self.unsure = 0
        """Successes whose record may not be there."""

    def swap(self, changes: Sequence[Change], /) -> Sequence[Answer]:
        fault = self.script.next()
        if fault:
            self.unsure += sum(change.record is not None and change.record.state is State.DONE for change in changes)
        if fault == "before":
            raise StoreError("down")
        if fault == "crash_before":
            raise Crash
        answers = self.store.swap(changes)
        if fault == "after":
            raise StoreError("the response was lost")
        if fault == "crash_after":
            raise Crash
        return answers[:-1] if fault == "short" else answers


class FlakySender:
    """An outbox with faults, as those of `FlakyStore`."""

    def __init__(self, outbox: Outbox, script: Script) -> None:
        self.outbox = outbox
        self.script = script

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
        fault = self.script.next()
        if fault == "before":
            raise SendError("down")
        if fault == "crash_before":
            raise Crash
        self.outbox.send(outgoing_messages)
        if fault == "after":
            raise SendError("the response was lost")
        if fault == "crash_after":
            raise Crash
        return [None] * (len(outgoing_messages) - (fault == "short"))


class CountingStore:
    """Counts the calls and their changes; may hold a call until told to go on."""

    def __init__(self) -> None:
        self.inner = MemoryStore()
        self.sizes: list[int] = []
        self.gate: threading.Event | None = None
        self.gated = threading.Event()
        self.hold_call = 0

    def swap(self, changes: Sequence[Change], /) -> Sequence[Answer]:
        self.sizes.append(len(changes))
        if self.gate is not None and len(self.sizes) == self.hold_call:
            self.gated.set()
            assert self.gate.wait(10)
        return self.inner.swap(changes)


def bound_for(handler: Callable[..., Any], *, clock: Clock | None = None, **world: Any) -> BoundConsumer:
    """Bind a handler as the test kit does, with a clock that only the test moves."""
    return bound_for_test(handler, clock=clock or FakeClock(), **world)


def message(
    body: Any,
    *,
    id: str = "m-1",
    group: str | None = None,
    lineage: Lineage | None = None,
    delivery: int = 1,
    sent_ms: int | None = None,
) -> Message:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Message(
        id=lineage.id if lineage else id,
        body=raw,
        queue="orders",
        delivery=delivery,
        attempt=delivery + (lineage.attempts if lineage else 0),
        group=group,
        lineage=lineage,
        native_id=id,
        sent_ms=sent_ms,
    )


class Declined(Exception):
    """The fatal exception of the test handlers."""


def recording(**declared: Any) -> tuple[Callable[[dict[str, Any]], None], list[dict[str, Any]]]:
    """A consumer that remembers its payloads, and does what they say: raise `error`, or call `do`."""
    seen: list[dict[str, Any]] = []
    queue = declared.pop("queue", QUEUE)

    @consumer(queue, fatal=(Declined,), **declared)
    def handler(payload: dict) -> None:  # type: ignore[type-arg] # the bare annotation is what is meant to be tested
        seen.append(payload)
        match payload.get("error"):
            case "fatal":
                raise Declined("no")
            case "exit":
                raise SystemExit(3)
            case str(text):
                raise ValueError(text)

    return handler, seen
