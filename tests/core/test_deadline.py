"""An event answers before its limit, whatever its store and its queues do."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from peeklock import Queue, Reason, consumer
from peeklock.concurrency.per_process import per_process
from peeklock.concurrency.thread_pool import Pool
from peeklock.concurrency.timer import Timer, running, untimed
from peeklock.engine import run as engine
from peeklock.engine.bound_consumer import BoundConsumer, Deadline
from peeklock.errors import StoreError
from peeklock.idempotency.record import State
from peeklock.stores.memory import MemoryStore
from peeklock.testing import FakeClock, Outbox
from peeklock.timing.clock import SystemClock
from tests.core.world import bound_for, message

pytestmark = pytest.mark.usefixtures("impatient")

QUICK = Queue("orders", max_attempts=5, timeout=0.2, first_delay=1)
LIMIT = 1.8
"""Seconds that an event has here: 1.3 of them for the store and the queues, the rest for settling."""

WAYS = ("inline", "threads", "async")


class BlackHole:
    """A store and a sender that answer until call number `silent`, and then never, unless they are released."""

    def __init__(self, silent: int = 1) -> None:
        self.inner = MemoryStore()
        self.silent = silent
        self.calls = 0
        self.released = threading.Event()

    def _answer(self) -> None:
        self.calls += 1
        if self.calls >= self.silent:
            self.released.wait(60)

    def swap(self, changes: Any, /) -> Any:
        self._answer()
        return self.inner.swap(changes)

    def send(self, outgoing_messages: Any, /) -> Any:
        self._answer()
        return [None] * len(outgoing_messages)


def counting(runs: list[Any], way: str) -> Any:
    def handler(payload: dict) -> None:
        runs.append(payload)

    async def coroutine(payload: dict) -> None:
        runs.append(payload)

    return consumer(QUICK)(coroutine if way == "async" else handler)


def bound_by(runs: list[Any], way: str, **world: Any) -> BoundConsumer:
    return bound_for(counting(runs, way), clock=SystemClock(), parallel=1 + (way == "threads"), **world)


def run(bound: BoundConsumer, messages: Any, seconds: float = LIMIT) -> tuple[list[str], float]:
    started = time.monotonic()
    settled = engine.run(bound, messages, timedelta(seconds=seconds))
    return [delivery.outcome.reason.value for delivery in settled], time.monotonic() - started


@pytest.mark.parametrize("way", WAYS)
def test_a_store_that_never_answers_a_claim(way):
    """(trials 1.15)"""
    runs: list[Any] = []
    store = BlackHole()
    reasons, took = run(bound_by(runs, way, store=store), [message({}, id=n) for n in "ab"])
    assert (reasons, runs) == (["unavailable"] * 2, [])
    assert took < LIMIT
    store.released.set()


@pytest.mark.parametrize("way", WAYS)
def test_a_store_that_never_answers_a_record(way, caplog):
    """Recording gives way to settling: it ran, so it is complete (trials 1.15)."""
    runs: list[Any] = []
    store = BlackHole(silent=2)
    reasons, took = run(bound_by(runs, way, store=store), [message({}, id="a")])
    assert (reasons, runs) == (["done"], [{}])
    assert took < LIMIT
    assert [(record.msg, record.levelno) for record in caplog.records] == [("peeklock.unrecorded %s", logging.ERROR)]
    store.released.set()


@pytest.mark.parametrize("way", WAYS)
def test_a_queue_that_never_answers(way):
    """Costs its own message: the others of the event are recorded meanwhile (trials 1.15)."""
    runs: list[Any] = []
    dead_letters = BlackHole()
    store = MemoryStore()
    bound = bound_by(runs, way, store=store, dead_letters=dead_letters)
    reasons, took = run(bound, [message(b"{", id="bad"), message({}, id="good")])
    assert (reasons, runs) == (["unavailable", "done"], [{}])
    assert took < LIMIT
    assert store.records["orders#good"].state is State.DONE
    assert store.records["orders#bad"].state is State.DEAD_LETTERING
    dead_letters.released.set()


class SlowToFail:
    """Needs some time for each failure."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.calls = 0

    def swap(self, changes: Any, /) -> Any:
        self.calls += 1
        time.sleep(self.seconds)
        raise StoreError("down")


@pytest.mark.parametrize("way", WAYS)
def test_a_store_that_is_slow_to_fail_is_asked_as_often_as_fits(way):
    """(trials 1.15)"""
    store = SlowToFail(0.8)
    reasons, took = run(bound_by([], way, store=store), [message({})])
    assert (reasons, store.calls) == (["unavailable"], 1)
    assert took < LIMIT


@pytest.mark.parametrize("way", WAYS)
def test_when_every_thread_for_io_hangs_it_is_unavailable_at_once(way):
    """Ten minutes are left, and none of them is waited for (trials 1.15)."""
    runs: list[Any] = []
    release = threading.Event()
    bound = replace(bound_by(runs, way, store=MemoryStore()), io=Pool(1, "test"))
    hung = bound.io.submit(lambda: release.wait(60))
    while not hung.running():
        time.sleep(0.001)
    bound.io.give_up(hung)
    reasons, took = run(bound, [message({})], 600)
    assert (reasons, runs) == (["unavailable"], [])
    assert took < 30
    release.set()


def test_what_is_answered_too_late_is_ignored():
    """The claim was made after all, and its message does not run behind the event's back: it is busy until the lease is
    over (trials 1.15)."""
    runs: list[Any] = []
    store = BlackHole()
    bound = bound_by(runs, "threads", store=store)
    assert run(bound, [message({})])[0] == ["unavailable"]
    store.released.set()
    while not store.inner.records:
        time.sleep(0.001)
    assert run(bound, [message({})])[0] == ["busy"]
    assert runs == []


@pytest.mark.parametrize("is_async", [False, True])
def test_without_time_to_wait_what_happened_is_written_all_the_same(is_async, caplog):
    """But not claimed, and not waited for (trials 1.15)."""
    written = threading.Event()
    clock = FakeClock()

    class Telling(MemoryStore):
        def swap(self, changes: Any, /) -> Any:
            answers = super().swap(changes)
            if any(change.record.state is State.DONE for change in changes):
                written.set()
            return answers

    def handler(payload: dict) -> None:
        clock.advance(60)

    async def coroutine(payload: dict) -> None:
        clock.advance(60)

    store = Telling()
    bound = bound_for(consumer(QUICK)(coroutine if is_async else handler), store=store, clock=clock)
    (delivery,) = engine.run(bound, [message({})], timedelta(seconds=10))
    assert delivery.outcome.reason == Reason.DONE
    assert "peeklock.unrecorded" in caplog.text
    assert written.wait(10)


def test_without_time_nothing_is_sent(caplog):
    """A dead letter that is not published leaves its message in the queue (trials 1.15)."""
    clock = FakeClock()

    @consumer(Queue("orders", max_attempts=1, timeout=1))
    def handler(payload: dict) -> None:
        clock.advance(60)
        raise ValueError("no")

    dead_letters = Outbox()
    bound = bound_for(handler, clock=clock, dead_letters=dead_letters)
    (delivery,) = engine.run(bound, [message({})], timedelta(seconds=10))
    assert delivery.outcome.disposition == "abandon"
    assert "could not be published" in delivery.outcome.detail
    assert not dead_letters.outgoing_messages


def test_an_error_of_a_round_that_ends_the_process_leaves():
    """In a thread of its own, too."""
    from tests.core.world import Crash, FlakyStore, Script

    for way in WAYS:
        bound = bound_by([], way, store=FlakyStore(MemoryStore(), Script({1: "crash_after"})))
        with pytest.raises(Crash):
            run(bound, [message({})])


@pytest.mark.parametrize("way", WAYS)
def test_the_first_use_of_an_sdk_is_not_the_handlers_time(way):
    """It takes three time-outs, and neither times out nor counts (trials 1.20)."""
    clients: list[float] = []

    @per_process
    def client() -> str:
        time.sleep(0.6)
        clients.append(time.monotonic())
        return "client"

    @per_process
    def sender() -> str:
        return client()  # one within the other

    def handler(payload: dict) -> None:
        sender()

    async def coroutine(payload: dict) -> None:
        sender()

    declared = consumer(QUICK)(coroutine if way == "async" else handler)
    bound = bound_for(declared, store=MemoryStore(), clock=SystemClock(), parallel=1 + (way == "threads"))
    (delivery,) = engine.run(bound, [message({})], timedelta(seconds=30))
    assert (delivery.outcome.reason.value, delivery.outcome.attempt, len(clients)) == ("done", 1, 1)


@pytest.mark.parametrize("way", ["inline", "threads"])
def test_after_the_first_use_of_an_sdk_the_time_goes_on(way):
    """Only the time of the import is not the handler's own."""

    @per_process
    def client() -> None:
        time.sleep(0.3)

    @consumer(QUICK)
    def handler(payload: dict) -> None:
        client()
        while True:
            time.sleep(0.001)

    bound = bound_for(handler, clock=SystemClock(), parallel=1 + (way == "threads"))
    reasons, _ = run(bound, [message({})], 30)
    assert reasons == ["timeout"]


class TestTimer:
    """Arithmetic of a timer, without waiting."""

    def test_while_it_stands_still_it_is_looked_at_no_earlier_than_it_can_be_over(self):
        timer = Timer(latest=100.0)
        assert timer.left(90.0) == 10.0
        timer.due = 20.0
        assert timer.left(15.0) == 5.0
        timer.paused_at = 15.0
        assert timer.left(19.0) == 5.0
        assert timer.left(97.0) == 3.0
        assert timer.left(101.0) < 0
        timer.resume(25.0)
        assert (timer.due, timer.paused_at) == (30.0, None)

    def test_it_never_ends_later_than_the_latest(self):
        timer = Timer(latest=100.0)
        timer.due, timer.paused_at = 99.0, 98.0
        timer.resume(105.0)
        assert timer.due == 100.0

    def test_one_that_was_paused_after_its_end_is_not_looked_at_in_a_tight_loop(self):
        timer = Timer(latest=100.0)
        timer.due, timer.paused_at = 10.0, 12.0
        assert timer.left(13.0) > 0

    def test_between_handlers_there_is_nothing_to_pause(self):
        timer = Timer(latest=100.0)
        token = running.set(timer)
        with untimed():
            assert timer.paused_at is not None
        running.reset(token)
        assert (timer.due, timer.paused_at) == (None, None)


def test_the_grace_of_a_handler_leaves_time_to_record_and_settle():
    """However late it was stopped (trials 1.15)."""
    bound = bound_for(counting([], "inline"), clock=SystemClock())
    deadline = Deadline(bound, timedelta(seconds=10), 1)
    now = time.monotonic()
    assert deadline.grace(now) == pytest.approx(now + 0.5)
    assert deadline.grace(now + 9.1) - now == pytest.approx(9.25, abs=0.05)
