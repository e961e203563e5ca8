"""Hooks of the user's that hang: they cost their own message, and end in its outcome."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from peeklock import Message, Queue, consumer
from peeklock.concurrency.interrupt import HandlerTimer, Interrupted, Target
from peeklock.concurrency.thread_pool import Pool
from peeklock.concurrency.timer import Timer, running
from peeklock.consuming.hooks import NoThread, _perform, call_within
from peeklock.engine.bound_consumer import BoundConsumer, Deadline
from peeklock.engine.run import run
from peeklock.idempotency.record import State
from peeklock.stores.memory import MemoryStore
from peeklock.testing import FakeClock
from peeklock.timing.clock import SystemClock
from tests.core.world import bound_for, message

pytestmark = pytest.mark.usefixtures("impatient")

QUICK = Queue("orders", max_attempts=5, timeout=0.1, first_delay=1)
WAYS = ("main", "threads", "async")
HANG = b'"hang"'


def hang() -> None:
    """In Python, so that it can be interrupted."""
    while True:
        time.sleep(0.001)


def bound_by(way: str, *, store: Any = None, clock: Any = None, **declared: Any) -> BoundConsumer:
    @consumer(QUICK, **declared)
    def handler(payload: dict) -> None:
        if payload == "fail":
            raise ValueError

    @consumer(QUICK, **declared)
    async def coroutine(payload: dict) -> None:
        if payload == "fail":
            raise ValueError

    declared_one: Any = coroutine if way == "async" else handler
    world = {"clock": clock} if clock else {}
    return bound_for(declared_one, store=store, parallel=1 + (way == "threads"), **world)


def decode(body: bytes) -> Any:
    if body == HANG:
        hang()
    return "fail" if body == b'"fail"' else body


def key(payload: Any) -> str:
    if payload == HANG:
        hang()
    return str(payload)


HOOKS: dict[str, Any] = {"decode": {"decode": decode}, "key": {"decode": lambda body: body, "key": key}}


def reasons(settled: Any) -> list[str]:
    return [delivery.outcome.reason.value for delivery in settled]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_that_hangs_costs_its_own_message(way, hook):
    """It has timed out, counted by the store; what is beside it runs."""
    store = MemoryStore()
    bound = bound_by(way, store=store, **HOOKS[hook])
    settled = run(bound, [message(HANG, id="a"), message(b"{}", id="b")], timedelta(seconds=20))
    assert reasons(settled) == ["timeout", "done"]
    assert "reading it took longer" in settled[0].outcome.detail
    record = store.records["orders#a"]
    assert (record.state, record.attempts) == (State.WAITING, 1)


@pytest.mark.parametrize("way", WAYS)
def test_without_a_store_it_costs_its_own_message_too(way):
    bound = bound_by(way, decode=decode)
    assert reasons(run(bound, [message(HANG, id="a"), message(b"{}", id="b")], timedelta(seconds=20))) == [
        "timeout",
        "done",
    ]


@pytest.mark.parametrize("way", WAYS)
def test_an_on_error_that_hangs_has_no_answer(way, caplog):
    """The failure is then one like any other."""
    bound = bound_by(way, store=MemoryStore(), decode=decode, on_error=lambda _: hang())
    assert reasons(run(bound, [message(b'"fail"', id="a"), message(b"{}", id="b")], timedelta(seconds=20))) == [
        "retry",
        "done",
    ]
    assert "on_error_failed" in caplog.text


def test_no_hook_is_called_without_time_for_it():
    """The same holds for handlers; nothing is known of the message then, so it comes back."""
    calls: list[bytes] = []
    bound = bound_by("main", store=MemoryStore(), clock=FakeClock(), decode=calls.append)
    assert reasons(run(bound, [message(b"{}")], timedelta(seconds=0.5))) == ["halted"]
    assert calls == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("store", [MemoryStore, lambda: None])
def test_a_hook_and_its_handler_share_the_time_out(way, store):
    """So what leaves room for a handler leaves room for both. Nothing moves the handler's end but its own hooks."""
    left: list[float] = []

    @consumer(Queue("orders", timeout=10), decode=lambda _: time.sleep(0.2))
    def handler(_: dict) -> None:
        left.append(handlers_timer().left(time.monotonic()))

    @consumer(Queue("orders", timeout=10), decode=lambda _: time.sleep(0.2))
    async def coroutine(_: dict) -> None:
        handler(_)

    declared: Any = coroutine if way == "async" else handler
    bound = bound_for(declared, store=store(), parallel=1 + (way == "threads"), clock=SystemClock())
    assert reasons(run(bound, [message(b"{}")], timedelta(seconds=11.1))) == ["done"]
    assert 0 < left[0] <= 9.8


def handlers_timer() -> Timer:
    timer = running.get()
    assert timer is not None
    return timer


def test_the_alarm_rings_early_for_a_handler_that_has_less_time():
    """It is armed once an event, for the whole time-out."""

    @consumer(Queue("orders", timeout=30), decode=lambda _: clock.advance(timedelta(seconds=29.95)))
    def handler(_: dict) -> None:
        hang()

    clock = FakeClock()
    (settled,) = run(bound_for(handler, store=MemoryStore(), clock=clock), [message(b"{}")], timedelta(seconds=32))
    assert (settled.outcome.reason, settled.duration < 29) == ("timeout", True)


class Slow:
    """A `decode` that takes long, by a clock that only it moves, and the order of all calls."""

    def __init__(self, seconds: float) -> None:
        self.clock = FakeClock()
        self.seconds = timedelta(seconds=seconds)
        self.calls: list[str] = []
        self.has_run = threading.Event()

    def decode(self, body: bytes) -> str:
        self.calls.append(f"read {body.decode()}")
        self.clock.advance(self.seconds)
        return body.decode()

    def bound(self, way: str, **declared: Any) -> BoundConsumer:
        @consumer(Queue("orders", timeout=30), decode=self.decode, **declared)
        def handler(name: str) -> None:
            self.calls.append(f"run {name}")
            self.has_run.set()

        @consumer(Queue("orders", timeout=30), decode=self.decode, **declared)
        async def coroutine(name: str) -> None:
            handler(name)

        declared_one: Any = coroutine if way == "async" else handler
        return bound_for(declared_one, store=MemoryStore(), clock=self.clock, parallel=1 + (way == "threads"))


class SlowAfterTheFirst(Slow):
    """Reads the first message at once, and others once a handler has run, which may be in another thread."""

    def decode(self, body: bytes) -> str:
        if self.calls:
            assert self.has_run.wait(3), "no handler began before more was read"
        return super().decode(body)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_slow_to_read_runs_before_more_is_read(way):
    """Else reading would take all the time, in each event anew, and nothing would ever run."""
    slow = SlowAfterTheFirst(20)
    messages = [message(name.encode(), id=name) for name in "abc"]
    settled = run(slow.bound(way), messages, timedelta(seconds=61))
    assert reasons(settled) == ["done", "done", "halted"]
    assert slow.calls == ["read a", "run a", "read b", "run b"]


def test_what_is_quick_to_read_is_claimed_together():
    slow = Slow(0.01)
    run(slow.bound("main"), [message(name.encode(), id=name) for name in "abc"], timedelta(seconds=200))
    assert slow.calls == ["read a", "read b", "read c", "run a", "run b", "run c"]


def test_a_twin_that_is_read_later_knows_what_the_first_wrote():
    """And so needs no look into the store."""
    slow = Slow(1)
    bound = slow.bound("main", key=lambda _: "k")
    store = bound.store
    assert isinstance(store, MemoryStore)
    asked: list[int] = []
    swap = store.swap
    bound = replace(bound, store=Counting(lambda changes: asked.append(len(changes)) or swap(changes)))
    settled = run(bound, [message(name.encode(), id=name) for name in "ab"], timedelta(seconds=61))
    assert reasons(settled) == ["done", "duplicate"]
    assert slow.calls == ["read a", "run a", "read b"]
    assert asked == [1, 1]


class Counting:
    def __init__(self, swap: Any) -> None:
        self.swap = swap


@pytest.mark.parametrize("store", [MemoryStore, lambda: None])
def test_what_gets_no_thread_to_be_read_in_comes_back_uncounted(store):
    """It was never looked at."""
    calls: list[bytes] = []
    bound = bound_by("threads", store=store(), decode=calls.append)
    with taken(Pool(1, "test")) as pool:
        (settled,) = run(replace(bound, handlers=pool), [message(b"{}")], timedelta(seconds=20))
    assert (settled.outcome.reason, settled.outcome.attempt, calls) == ("halted", 1, [])
    assert "it could not be read: all 1 threads hang" in settled.outcome.detail
    assert bound.store is None or not bound.store.records


@contextmanager
def taken(pool: Pool) -> Iterator[Pool]:
    """A pool of one thread, which hangs."""
    begun, release = threading.Event(), threading.Event()
    hung = pool.submit(lambda: (begun.set(), release.wait(10)))
    assert begun.wait(10)
    pool.give_up(hung)
    try:
        yield pool
    finally:
        release.set()


def test_a_hook_that_blocks_is_left_alone():
    """It may go on; what it answers later concerns nobody."""
    release, ended = threading.Event(), threading.Event()
    gate = threading.Lock()

    def stubborn() -> str:
        while not release.is_set():
            try:
                release.wait(10)
            except Interrupted:
                continue
        ended.set()
        return "late"

    pool = Pool(1, "test")
    with pytest.raises(Interrupted):
        call_within(pool, stubborn, 0.02)
    with pytest.raises(NoThread, match="hang"):
        call_within(pool, gate.locked, 10)
    release.set()
    assert ended.wait(10)


def test_a_hook_that_gets_no_thread_is_never_called():
    pool, release, calls = Pool(1, "test"), threading.Event(), []
    occupied = pool.submit(lambda: release.wait(10))
    with pytest.raises(NoThread):
        call_within(pool, lambda: calls.append(1), 0.02)
    release.set()
    occupied.result(10)
    pool.submit(lambda: None).result(10)
    assert calls == []


def test_a_hook_whose_time_was_over_before_it_began_is_not_called():
    """It already has a thread, but the caller has stopped waiting."""
    target, calls = Target(), []
    assert target.cancel()
    with pytest.raises(Interrupted):
        _perform(target, lambda: calls.append(1))
    assert calls == []


def test_a_time_out_of_the_hook_s_own_stays_one():
    def fails() -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        call_within(Pool(1, "test"), fails, 10)


@pytest.mark.parametrize("where", ["main", "thread"])
def test_one_that_swallows_its_interruption_has_no_result(where):
    def swallow() -> str:
        try:
            hang()
        except BaseException:  # noqa: BLE001 - what is meant to be tested
            return "half"
        return "whole"

    def on_main() -> str:
        with HandlerTimer(10, time.monotonic() + 20) as timer:
            return timer.call_within(swallow, 0.02)

    with pytest.raises(Interrupted):
        call_within(Pool(1, "test"), swallow, 0.02) if where == "thread" else on_main()


def test_an_envelope_may_hang_too():
    """`unwrap=` is read in the same call."""
    from dataclasses import replace

    def unwrap(arrived: Message) -> Message:
        if arrived.body == HANG:
            hang()
        return arrived

    bound = replace(bound_by("threads"), unwrap=unwrap, has_hooks=True)
    assert Deadline(bound, None, 1).timeout == 0.1
    assert reasons(run(bound, [message(HANG)], timedelta(seconds=20))) == ["timeout"]


@pytest.mark.parametrize("after", [signal.SIG_IGN, signal.SIG_DFL])
def test_a_hook_that_uses_the_alarm_itself(after):
    """Takes the time-out from no handler, and the process goes on."""

    def take(_: Message) -> dict[str, Any]:
        signal.signal(signal.SIGALRM, after)
        signal.setitimer(signal.ITIMER_REAL, 0)
        return {}

    @consumer(QUICK, decode=take)
    def handler(payload: dict) -> None:
        hang()

    settled = run(bound_for(handler), [message({}, id=name) for name in "ab"])
    assert [delivery.outcome.reason for delivery in settled] == ["timeout", "timeout"]
