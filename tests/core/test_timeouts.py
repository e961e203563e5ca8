"""Handlers that run past their time: interrupted, cancelled, or left alone."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from typing import Any

import pytest

from peeklock import Batch, DeadLetter, Queue, consumer
from peeklock.concurrency import event_loop
from peeklock.concurrency.interrupt import AGAIN, LONGEST_LOOK, LOOK_AGAIN, HandlerTimer, Interrupted
from peeklock.engine.bound_consumer import BoundConsumer, Delays
from peeklock.engine.run import handle, handle_async, run
from peeklock.idempotency.record import State
from peeklock.stores.memory import MemoryStore
from peeklock.testing import Outbox
from peeklock.timing.clock import SystemClock
from tests.core.world import bound_for, message

QUICK = Queue("orders", max_attempts=2, timeout=0.15)


def bound_by(handler: Any, store: MemoryStore | None = None, parallel: int = 1) -> BoundConsumer:
    return bound_for(handler, store=store, parallel=parallel, clock=SystemClock())


def reasons(settled: Any) -> list[str]:
    return [delivery.outcome.reason.value for delivery in settled]


def test_the_main_thread_is_interrupted():
    """At its time and not at the first `except Exception`; the start counts, the group halts, and as the handler has
    ended, its lease is let go (trials 1.14)."""
    seen: list[str] = []

    @consumer(QUICK)
    def handler(payload: dict) -> None:
        if "slow" not in payload:
            return
        try:
            time.sleep(5)
        except Exception:  # noqa: BLE001 - what many handlers do
            seen.append("swallowed")
        finally:
            seen.append("finally")

    store = MemoryStore()
    before = signal.getsignal(signal.SIGALRM)
    started = time.monotonic()
    bodies = [message({}, id="a"), message({"slow": 1}, id="b", group="g"), message({}, id="c", group="g")]
    settled = handle(bound_by(handler, store), bodies)
    assert reasons(settled) == ["done", "timeout", "halted"]
    assert time.monotonic() - started < 3
    assert seen == ["finally"]
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    record = store.records["orders#b"]
    assert (record.state, record.attempts, settled[1].outcome.attempt) == (State.WAITING, 1, 1)
    assert settled[1].outcome.delay is not None
    assert reasons(handle(bound_by(handler, store), [message({}, id="b")])) == ["done"]


def test_one_that_swallows_its_interruption_is_interrupted_again():
    """A second later, and so on (trials 6)."""
    rings: list[int] = []

    @consumer(QUICK)
    def handler(payload: dict) -> None:
        for _ in range(100):  # without a second ring it ends, and is done
            try:
                time.sleep(0.1)
            except BaseException:
                rings.append(1)
                if len(rings) == 2:
                    raise

    assert reasons(handle(bound_by(handler), [message({})])) == ["timeout"]
    assert len(rings) == 2


@pytest.mark.parametrize("way", ["main", "thread", "loop"])
@pytest.mark.parametrize("end", ["return", "raise"])
def test_one_that_swallows_its_interruption_and_ends_is_not_done(way, end):
    """A part of it was cut off, so it runs again; and what it raises instead does not decide over its message."""

    def swallow() -> None:
        if end == "raise":
            raise DeadLetter("it failed")

    @consumer(QUICK)
    def handler(payload: dict) -> None:
        try:
            while True:
                time.sleep(0.001)
        except BaseException:  # noqa: BLE001 - what is meant to be tested
            swallow()

    @consumer(QUICK)
    async def coroutine(payload: dict) -> None:
        try:
            await asyncio.sleep(5)
        except BaseException:  # noqa: BLE001 - what is meant to be tested
            swallow()

    store = MemoryStore()
    bound = bound_by(coroutine if way == "loop" else handler, store, parallel=1 + (way == "thread"))
    (delivery,) = run(bound, [message({})])
    assert (delivery.outcome.reason, delivery.outcome.disposition) == ("timeout", "abandon"), delivery.outcome
    record = store.records["orders#m-1"]
    assert (record.state, record.attempts) == (State.WAITING, 1)


def test_the_alarm_looks_again_while_its_handler_takes_a_lock(monkeypatch):
    """Else that lock would stay taken. A lock that is not to be had is waited for no longer than a moment."""

    def acquire() -> Any:
        return sys._getframe()

    now, armed = [100.0], []
    monkeypatch.setattr("peeklock.concurrency.interrupt.time.monotonic", lambda: now[0])
    monkeypatch.setattr("peeklock.concurrency.interrupt.signal.setitimer", lambda _, seconds: armed.append(seconds))
    with HandlerTimer(10, 1000) as timer:
        timer.start(10)
        now[0] += 10
        timer._on_signal(signal.SIGALRM, acquire())
        assert (armed[-1], timer.fired) == (LOOK_AGAIN, False)
        now[0] += LONGEST_LOOK + 0.01
        with pytest.raises(Interrupted):
            timer._on_signal(signal.SIGALRM, acquire())
        assert (armed[-1], timer.fired) == (AGAIN, True)
        now[0] += AGAIN
        timer._on_signal(signal.SIGALRM, acquire())  # the next time it looks again, too
        with pytest.raises(Interrupted):
            timer._on_signal(signal.SIGALRM, sys._getframe())


@pytest.mark.parametrize("habit", ["alarm", "timer", "default"])
def test_a_handler_that_uses_the_alarm_itself(habit):
    """Takes the time-out from nobody but itself: the next one in its event is interrupted, and the process lives."""

    @consumer(QUICK)
    def handler(payload: dict) -> None:
        time.sleep(5 if payload else 0.001)
        if habit == "alarm":
            signal.alarm(0)
        elif habit == "timer":
            signal.setitimer(signal.ITIMER_REAL, 60)
        else:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)

    assert reasons(handle(bound_by(handler), [message({}, id="a"), message({"slow": 1}, id="b")])) == [
        "done",
        "timeout",
    ]


def test_the_timer_is_not_asked_for_after_a_quick_handler(monkeypatch):
    """It would take an eighth of the time of an event."""

    @consumer(QUICK)
    def handler(payload: dict) -> None: ...

    monkeypatch.setattr("peeklock.engine.main_thread_executor.QUICK", 1000.0)
    monkeypatch.setattr(HandlerTimer, "rearm", lambda _: pytest.fail("asked"))
    assert reasons(handle(bound_by(handler), [message({})])) == ["done"]


def test_a_batch_handler_is_interrupted_for_all():
    """And without a store each time-out counts by the platform's number."""

    @consumer(QUICK)
    def handler(rows: Batch[dict]) -> None:
        time.sleep(5)

    settled = handle(bound_by(handler), [message({}, id="a"), message({}, id="b")])
    assert reasons(settled) == ["timeout"] * 2
    assert settled[0].outcome.delay is not None


def in_thread(run: Any) -> Any:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(run()))
    thread.start()
    thread.join(20)
    return results[0]


def test_another_thread_cannot_be_stopped():
    """While it blocks where an exception would do harm, as in joining a thread. Its slot stays taken, so the next is halted;
    it was not interrupted, so its late success is recorded, and it does not run again."""
    release, ended = threading.Event(), threading.Event()
    waiter = threading.Thread(target=lambda: release.wait(10))
    waiter.start()

    @consumer(QUICK)
    def handler(payload: dict) -> None:
        waiter.join()

    class Telling(MemoryStore):
        def swap(self, changes: Any, /) -> Any:
            answers = super().swap(changes)
            if any(change.record.state is State.DONE for change in changes):
                ended.set()
            return answers

    store = Telling()
    settled = in_thread(lambda: handle(bound_by(handler, store), [message({}, id="a"), message({}, id="b")]))
    assert reasons(settled) == ["timeout", "halted"]
    assert "take every slot" in settled[1].outcome.detail
    release.set()
    assert ended.wait(10)
    assert reasons(handle(bound_by(handler, store), [message({}, id="a")])) == ["duplicate"]


@pytest.mark.parametrize("store_fails", [True, False])
def test_a_late_failure_lets_go_of_the_lease(caplog, store_fails):
    """Nobody has to wait for it; and where that cannot be written, the lease ends by itself."""
    release, ended = threading.Event(), threading.Event()

    @consumer(QUICK)
    def handler(payload: dict) -> None:
        if not release.is_set():
            release.wait(10)
            raise ValueError

    class Telling(MemoryStore):
        def swap(self, changes: Any, /) -> Any:
            if not release.is_set():
                return super().swap(changes)
            try:
                if store_fails and not ended.is_set():
                    raise RuntimeError("down")
                return super().swap(changes)
            finally:
                ended.set()

    store = Telling()
    assert reasons(in_thread(lambda: handle(bound_by(handler, store), [message({})]))) == ["timeout"]
    release.set()
    assert ended.wait(10)
    expected = "busy" if store_fails else "done"
    assert reasons(handle(bound_by(handler, store), [message({})])) == [expected]


def test_without_a_store_a_late_end_is_nobodys():
    """There is nothing to record."""
    release = threading.Event()

    @consumer(QUICK)
    def handler(payload: dict) -> None:
        release.wait(10)

    assert reasons(in_thread(lambda: handle(bound_by(handler), [message({})]))) == ["timeout"]
    release.set()


def test_time_outs_use_up_the_attempts():
    """Each start counts once; the last one's handler has ended, so the dead letter goes out at once."""
    runs: list[int] = []

    @consumer(QUICK)
    async def handler(payload: dict) -> None:
        runs.append(1)
        await asyncio.sleep(5)

    store = MemoryStore()
    for expected in ("timeout", "exhausted", "exhausted"):
        assert reasons(event_loop.run(handle_async(bound_by(handler, store), [message({})]))) == [expected]
    assert len(runs) == 2


def test_a_time_out_leaves_as_a_copy():
    """Where a delay is one: its handler has ended, so the lease is let go, and the copy runs after the usual delay. Nothing
    that the handler raised, so `on_error` is not asked."""
    store, copies = MemoryStore(), Outbox()

    @consumer(QUICK, on_error=lambda _: DeadLetter("no"))
    async def handler(payload: dict) -> None:
        if "slow" in payload:
            await asyncio.sleep(5)

    bound = bound_for(handler, store=store, copies=copies, delays=Delays.COPY, clock=SystemClock())
    (settled,) = event_loop.run(handle_async(bound, [message({"slow": 1})]))
    assert (settled.outcome.reason.value, settled.outcome.copied, settled.outcome.attempt) == ("timeout", True, 1)
    (copy,) = copies.outgoing_messages
    assert (copy.lineage.copy_number, copy.lineage.attempts, copy.delay) == (1, 1, settled.outcome.delay)
    assert store.records["orders#m-1"].state is State.DELAYED
    assert reasons(event_loop.run(handle_async(bound, [message({}, lineage=copy.lineage)]))) == ["done"]


def test_a_coroutine_is_cancelled():
    """Beside others that go on."""
    cancelled: list[int] = []

    @consumer(QUICK)
    async def handler(payload: dict) -> None:
        if "slow" in payload:
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                cancelled.append(1)
                raise

    settled = event_loop.run(
        handle_async(bound_by(handler, parallel=2), [message({"slow": 1}, id="a"), message({}, id="b")])
    )
    assert (reasons(settled), cancelled) == (["timeout", "done"], [1])


def test_a_coroutine_that_refuses_to_be_cancelled():
    """Keeps its slot, and is left alone after a short grace."""
    release = threading.Event()

    @consumer(QUICK)
    async def handler(payload: dict) -> None:
        while not release.is_set():
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                continue

    store, copies = MemoryStore(), Outbox()
    bound = bound_for(handler, store=store, copies=copies, delays=Delays.COPY, clock=SystemClock())
    settled = event_loop.run(handle_async(bound, [message({}, id="a"), message({}, id="b")]))
    assert reasons(settled) == ["timeout", "halted"]
    assert (settled[0].duration >= QUICK.timeout.total_seconds(), settled[1].duration) == (True, 0.0)
    record = store.records["orders#a"]
    assert (record.state, record.attempts, record.counted) == (State.RUNNING, 1, True)
    assert copies.outgoing_messages == [], "none may run before the lease is over: the message itself waits for that"
    release.set()


def test_a_handler_that_cancels_itself_has_failed():
    """It is not ours, so it is a retry like any other."""

    @consumer(QUICK)
    async def handler(payload: dict) -> None:
        raise asyncio.CancelledError

    assert reasons(event_loop.run(handle_async(bound_by(handler), [message({})]))) == ["retry"]


def test_a_host_that_gives_up_cancels_its_handlers():
    """Nothing is settled then, and the messages come back."""
    stopped = threading.Event()
    started = threading.Event()

    @consumer(Queue("orders"))
    async def handler(payload: dict) -> None:
        started.set()
        try:
            await asyncio.sleep(5)
        finally:
            stopped.set()

    async def host() -> None:
        event = asyncio.ensure_future(handle_async(bound_by(handler), [message({})]))
        await asyncio.to_thread(started.wait, 10)
        event.cancel()
        with pytest.raises(asyncio.CancelledError):
            await event
        await asyncio.sleep(0)

    event_loop.run(host())
    assert stopped.is_set()


def test_an_interrupt_from_the_keyboard_leaves():
    """Somebody at a terminal wants out; so it is in a coroutine."""

    @consumer(QUICK)
    def handler(rows: Batch[dict]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        handle(bound_by(handler), [message({})])
