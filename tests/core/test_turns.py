"""Whose turn it is: in a group, in an event that reads slowly, and beside a handler that cannot be stopped."""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from peeklock import Batch, Queue, Retry, consumer
from peeklock.concurrency.interrupt import Interrupted
from peeklock.concurrency.timer import running
from peeklock.engine.run import run
from peeklock.idempotency.record import State
from peeklock.message import Lineage
from peeklock.stores.memory import MemoryStore
from peeklock.testing import FakeClock, Outbox
from peeklock.timing.clock import SystemClock
from tests.core.world import FlakyStore, Script, bound_for, message

ORDERS = Queue("orders", max_attempts=3, timeout=30, first_delay=1)
STORES: list[Callable[[], Any]] = [MemoryStore, lambda: None]


def reasons(settled: Any) -> list[str]:
    return [delivery.outcome.reason.value for delivery in settled]


def fetch(body: bytes) -> bytes:
    if body == b"down":
        raise OSError("the bucket is down")
    return body


@pytest.mark.parametrize("store", STORES)
def test_what_cannot_be_fetched_waits_for_its_turn_to_fail(store):
    """While its group is halted it is not counted, and never dead-lettered before what stands in front of it."""

    @consumer(ORDERS, decode=fetch)
    def handler(_: bytes) -> None:
        raise Retry(after=60)

    dead_letters = Outbox()
    bound = bound_for(handler, store=store(), dead_letters=dead_letters)
    settled = run(bound, [message(b"1", id="a", group="g"), message(b"down", id="b", group="g", delivery=3)])
    assert reasons(settled) == ["retry", "halted"]
    assert not dead_letters.outgoing_messages


@pytest.mark.parametrize("store", STORES)
def test_what_cannot_be_fetched_fails_when_its_turn_has_come(store):
    """And what stands behind it is halted."""

    @consumer(ORDERS, decode=fetch)
    def handler(_: bytes) -> None: ...

    bound = bound_for(handler, store=store())
    messages = [message(body, id=name, group="g") for name, body in (("a", b"1"), ("b", b"down"), ("c", b"3"))]
    assert reasons(run(bound, messages)) == ["done", "retry", "halted"]


class Reading:
    """A `decode` that takes as long as the body says, by a clock that only it moves."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.ran: list[str] = []

    def decode(self, body: bytes) -> str:
        name, _, seconds = body.decode().partition(" ")
        self.clock.advance(timedelta(seconds=float(seconds or 0)))
        fetch(name.encode())
        return name


def test_what_was_read_quickly_runs_before_something_that_may_take_its_time():
    """In an event with room for little more than one time-out."""
    reading = Reading()

    @consumer(ORDERS, decode=reading.decode)
    def handler(name: str) -> None:
        reading.ran.append(name)

    bound = bound_for(handler, store=MemoryStore(), clock=reading.clock)
    settled = run(bound, [message(b"quick 0.1"), message(b"slow 40", id="m-2")], timedelta(seconds=33))
    assert reasons(settled)[0] == "done"
    assert reading.ran[0] == "quick"


@pytest.mark.parametrize("store", STORES)
def test_what_is_slow_to_read_runs_beside_what_runs_already(store):
    """Where there is a free slot: an event's handlers would run one after the other else."""
    reading, met = Reading(), threading.Barrier(2)

    @consumer(ORDERS, decode=reading.decode)
    def handler(_: str) -> None:
        met.wait(20)

    bound = bound_for(handler, store=store(), clock=reading.clock, parallel=2)
    settled = run(bound, [message(b"a 1"), message(b"b 1", id="m-2")], timedelta(seconds=200))
    assert reasons(settled) == ["done", "done"]


def test_a_failed_fetch_is_recorded_while_others_run():
    """And does not wait for the end of a handler."""
    reading, recorded = Reading(), threading.Event()

    class Store(MemoryStore):
        def swap(self, changes: Any, /) -> Any:
            if any(change.record is not None and change.record.state is State.WAITING for change in changes):
                recorded.set()
            return super().swap(changes)

    @consumer(ORDERS, decode=reading.decode)
    def handler(_: str) -> None:
        assert recorded.wait(20)

    bound = bound_for(handler, store=Store(), clock=reading.clock, parallel=2)
    settled = run(bound, [message(b"a 1"), message(b"down 1", id="m-2")], timedelta(seconds=200))
    assert reasons(settled) == ["done", "retry"]


@pytest.mark.parametrize("parallel", [1, 2])
@pytest.mark.parametrize("store", STORES)
def test_a_batch_does_not_start_when_reading_has_taken_its_time(parallel, store):
    """It would run past the event."""
    reading = Reading()
    began = reading.clock.monotonic()

    @consumer(ORDERS, decode=reading.decode)
    def handler(batch: Batch[str]) -> None:
        assert reading.clock.monotonic() - began < 1
        reading.ran.extend(batch)

    bound = bound_for(handler, store=store(), clock=reading.clock, parallel=parallel)
    assert reasons(run(bound, [message(b"a"), message(b"down 29", id="m-2")], timedelta(seconds=31.2))) == [
        "halted",
        "retry",
    ]
    began = reading.clock.monotonic()
    assert reasons(run(bound, [message(b"a 0.1"), message(b"down 29", id="m-2")], timedelta(seconds=31.3))) == [
        "done",
        "retry",
    ]
    assert reading.ran == ["a"]


@pytest.mark.parametrize("way", ["main", "threads", "async"])
def test_one_that_was_slow_to_read_leaves_the_next_its_whole_time(way):
    reading, left = Reading(), list[float]()

    @consumer(ORDERS, decode=reading.decode)
    def handler(_: str) -> None:
        timer = running.get()
        assert timer is not None
        left.append(timer.left(time.monotonic()))

    @consumer(ORDERS, decode=reading.decode)
    async def coroutine(name: str) -> None:
        handler(name)

    declared: Any = coroutine if way == "async" else handler
    bound = bound_for(declared, clock=reading.clock, parallel=1 + (way == "threads"))
    run(bound, [message(b"a 29"), message(b"b", id="m-2")], timedelta(seconds=200))
    assert [round(seconds, -1) for seconds in left] == [0, 30]


@pytest.mark.parametrize("way", ["main", "threads", "async"])
def test_a_suspect_runs_after_what_is_read_later(way):
    """So that it takes nobody with it when it ends its process once more."""
    reading = Reading()

    @consumer(ORDERS, decode=reading.decode)
    def handler(name: str) -> None:
        reading.ran.append(name)

    @consumer(ORDERS, decode=reading.decode)
    async def coroutine(name: str) -> None:
        handler(name)

    @consumer(ORDERS, decode=reading.decode)
    def dying(_: str) -> None:
        raise KeyboardInterrupt  # on the main thread: nothing after it happens, as when a process ends

    store = MemoryStore()
    messages = [message(body, id=body[:1].decode()) for body in (b"poison 1", b"b 1", b"c 1")]
    with pytest.raises(KeyboardInterrupt):
        run(bound_for(dying, store=store, clock=reading.clock), messages[:1], timedelta(seconds=200))
    reading.clock.advance(timedelta(hours=2))
    declared: Any = coroutine if way == "async" else handler
    bound = bound_for(declared, store=store, clock=reading.clock, parallel=1 + (way == "threads"))
    run(bound, messages, timedelta(seconds=200))
    assert (sorted(reading.ran[:2]), reading.ran[2]) == (["b", "c"], "poison")


class Stubborn:
    """Handlers that cannot be stopped by whatever is raised in them, until `release` is set."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.ran: list[str] = []

    def run(self, name: str) -> None:
        self.ran.append(name)
        while name == "stubborn" and not self.release.is_set():
            with suppress(Interrupted):
                self.release.wait(20)

    async def run_async(self, name: str) -> None:
        self.ran.append(name)
        while name == "stubborn" and not self.release.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("way", ["run", "run_async"])
def test_a_last_attempt_does_not_start_beside_a_handler_that_could_not_be_stopped(way):
    """If that ends the process, this message would be exhausted by it."""
    stubborn, store = Stubborn(), MemoryStore()
    queue = Queue("orders", max_attempts=3, timeout=0.2, first_delay=1)
    handler = consumer(queue, decode=bytes.decode)(partial(getattr(stubborn, way)))
    bound = bound_for(handler, store=store, clock=SystemClock(), parallel=2)
    messages = [message(b"stubborn", id="a"), message(b"last", id="b", lineage=Lineage(id="b", attempts=2))]
    try:
        settled = run(bound, messages, timedelta(seconds=20))
    finally:
        stubborn.release.set()
    assert reasons(settled) == ["timeout", "halted"]
    assert "could not be stopped" in settled[1].outcome.detail
    assert stubborn.ran == ["stubborn"]
    assert "orders#b" not in store.records


@pytest.mark.parametrize("way", ["run", "run_async"])
def test_what_could_not_be_stopped_comes_back_when_its_lease_is_over(way):
    """Before that it would only be busy."""
    stubborn = Stubborn()
    queue = Queue("orders", max_attempts=3, timeout=0.2, first_delay=1)
    bound = bound_for(
        consumer(queue, decode=bytes.decode)(partial(getattr(stubborn, way))), store=MemoryStore(), parallel=2
    )
    try:
        (settled,) = run(bound, [message(b"stubborn")], timedelta(seconds=900))
    finally:
        stubborn.release.set()
    assert settled.outcome.reason == "timeout"
    assert settled.outcome.delay > timedelta(seconds=800)


@pytest.mark.parametrize("way", ["run", "run_async"])
@pytest.mark.parametrize(("delivery", "reason"), [(2, "timeout"), (3, "exhausted")])
def test_without_a_store_the_last_one_that_could_not_be_stopped_is_the_end(way, delivery, reason):
    """Each further delivery might do the same, and nothing else counts them."""
    stubborn = Stubborn()
    queue = Queue("orders", max_attempts=3, timeout=0.2, first_delay=1)
    bound = bound_for(consumer(queue, decode=bytes.decode)(partial(getattr(stubborn, way))), parallel=2)
    try:
        (settled,) = run(bound, [message(b"stubborn", delivery=delivery)], timedelta(seconds=20))
    finally:
        stubborn.release.set()
    assert settled.outcome.reason == reason


def test_a_twin_of_what_could_not_be_recorded_does_not_run():
    """The effect has happened, and this event knows."""
    ran: list[str] = []

    @consumer(ORDERS, key="id")
    def handler(payload: dict) -> None:
        ran.append(payload["id"])

    store = FlakyStore(MemoryStore(), Script(dict.fromkeys(range(2, 20), "before")))
    settled = run(bound_for(handler, store=store), [message({"id": "k"}, id="a"), message({"id": "k"}, id="b")])
    assert reasons(settled) == ["done", "duplicate"]
    assert settled[0].outcome.unrecorded
    assert ran == ["k"]


@pytest.mark.parametrize("store", STORES)
def test_a_success_says_which_attempt_it_was(store: Callable[[], Any]) -> None:
    @consumer(ORDERS)
    def handler(_: dict[str, Any]) -> None: ...

    again = message({}, lineage=Lineage(id="a", attempts=1))
    settled = run(bound_for(handler, store=store()), [again, message({}, id="b")])
    assert [delivery.outcome.attempt for delivery in settled] == [2, 1]


class Body:
    """Payload that a weak reference can point to."""


@pytest.mark.parametrize("store", STORES)
def test_a_settled_message_keeps_no_payload(store: Callable[[], Any]) -> None:
    """An event of many messages needs the memory of one payload without a store."""
    payloads: list[weakref.ref[Body]] = []

    def decode(_: bytes) -> Body:
        payload = Body()
        payloads.append(weakref.ref(payload))
        return payload

    @consumer(ORDERS, decode=decode)
    def handler(_: Body) -> None: ...

    settled = run(bound_for(handler, store=store()), [message(b"1", id="a"), message(b"2", id="b")])
    assert reasons(settled) == ["done", "done"]
    assert [payload() for payload in payloads] == [None, None]
