"""Small ends of one event that a planted fault could change unseen: who runs it, what it waits for, what it writes."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future
from datetime import timedelta
from queue import SimpleQueue
from typing import Any

import pytest

from peeklock import Batch, Message, Queue, Reason, consumer
from peeklock.concurrency import event_loop
from peeklock.concurrency.interrupt import HandlerTimer
from peeklock.concurrency.thread_pool import Pool
from peeklock.concurrency.timer import SHORTEST
from peeklock.engine.async_driver import AsyncDriver, HandlerTask, bounded_async
from peeklock.engine.bound_consumer import HANDOVER_SECONDS, Deadline
from peeklock.engine.delivery import Delivery
from peeklock.engine.effects import EffectRunner
from peeklock.engine.invocation import time_of
from peeklock.engine.main_thread_executor import MainThreadExecutor
from peeklock.engine.pooled_executor import PooledExecutor, Run
from peeklock.engine.run import handle, handle_async
from peeklock.engine.scheduler import Schedule, next_job
from peeklock.idempotency.record import State
from peeklock.idempotency.store import WON
from peeklock.stores.memory import MemoryStore
from peeklock.testing import FakeClock
from peeklock.timing.clock import SystemClock
from tests.core.test_observers import Unkind
from tests.core.world import QUEUE, bound_for, message, recording


def reasons(settled: Any) -> list[str]:
    return [delivery.outcome.reason.value for delivery in settled]


def spent(seconds: float) -> Delivery:
    """An item that took so long to read."""
    delivery = Delivery(message({}))
    delivery.spent = seconds
    return delivery


@consumer(QUEUE)
def batch(rows: Batch[dict]) -> None:
    """Whatever it is given."""


# -- how long


def test_the_alarm_is_off_once_a_span_has_ended():
    """Slow code outside of the handler is not interrupted in its place."""
    handler, seen = recording()
    observer = Unkind("")
    bound = bound_for(handler, observer=observer)
    deadline = Deadline(bound, None, 1)
    with HandlerTimer(deadline.timeout, deadline.latest) as timer:
        assert MainThreadExecutor(bound, deadline, timer).work(Schedule([message({})], bound, deadline), io_waits=False)
        assert (seen, observer.seen) == ([{}], ["running", "enter", "exit"])
        assert timer.due is None


class Lengthy(Unkind):
    """Takes half a minute to begin a span, by a clock that only it moves."""

    def __init__(self) -> None:
        super().__init__("")
        self.clock = FakeClock()

    def running(self, message: Message, /) -> Any:
        self.clock.advance(30)
        return super().running(message)


def test_a_handler_in_a_thread_does_not_begin_too_late():
    """It was started in time, and then its observer took what was left."""
    handler, seen = recording()
    observer = Lengthy()
    bound = bound_for(handler, clock=observer.clock, observer=observer, parallel=2)
    (settled,) = handle(bound, [message({})], timedelta(seconds=60))
    assert (settled.outcome.reason, seen) == (Reason.HALTED, [])
    assert observer.seen == ["running", "enter", "exit", "settled"]


def test_a_handler_that_was_started_in_time_may_begin_a_moment_later():
    """The reserve for the start of a thread is used for that only."""
    handler, _ = recording()
    clock = FakeClock()
    deadline = Deadline(bound_for(handler, clock=clock), timedelta(seconds=31), 1)
    clock.advance(HANDOVER_SECONDS * 0.75)
    assert not deadline.has_room()
    assert deadline.may_begin(0.0)
    clock.advance(HANDOVER_SECONDS)
    assert not deadline.may_begin(0.0)


@pytest.mark.parametrize("observer", [None, Unkind("")], ids=["no span", "span"])
def test_what_was_slow_to_read_runs_in_what_is_left(observer):
    """The room for both was there before it was read. An observer with spans takes nothing from it."""
    clock = FakeClock()

    @consumer(QUEUE, decode=lambda _: clock.advance(20))
    def handler(payload: Any) -> None: ...

    bound = bound_for(handler, store=MemoryStore(), clock=clock, observer=observer)
    assert reasons(handle(bound, [message({})], timedelta(seconds=40))) == ["done"]


def test_what_was_slow_to_read_may_run_alone():
    """The last attempt of a message waits for all others, and has as much time as they."""
    clock = FakeClock()

    @consumer(Queue("orders", max_attempts=1, timeout=30), decode=lambda _: clock.advance(20))
    def handler(payload: Any) -> None: ...

    bound = bound_for(handler, store=MemoryStore(), clock=clock)
    assert reasons(handle(bound, [message({})], timedelta(seconds=40))) == ["done"]


def test_a_batch_has_its_whole_time_while_there_is_room():
    """Messages beside one that was slow to read keep their time; near the end of the event, the slow one still has what is
    left of its own."""
    clock = FakeClock()
    deadline = Deadline(bound_for(batch, clock=clock), timedelta(seconds=60), 2)
    deliveries = [spent(0), spent(5), spent(1)]
    assert (time_of(deliveries, deadline), time_of(deliveries[1:2], deadline)) == (30, 25)
    clock.advance(31)
    assert time_of(deliveries, deadline) == pytest.approx(deadline.room())
    assert 25 < deadline.room() < 30
    clock.advance(10)
    assert time_of(deliveries, deadline) == 25


def test_no_handler_has_less_than_no_time():
    """The alarm is set to a time that is to come."""
    deadline = Deadline(bound_for(batch), None, 2)
    assert [time_of([spent(seconds)], deadline) for seconds in (30, 31, 1000)] == [SHORTEST] * 3


# -- what waits for what


def threads_of(handler: Any) -> PooledExecutor:
    bound = bound_for(handler, parallel=2)
    return PooledExecutor(bound, Deadline(bound, timedelta(seconds=900), 1), SimpleQueue())


def test_a_call_that_waits_for_a_thread_is_looked_at_in_time():
    """Should it begin at once, its time may be over after one time-out, long before that of the event."""
    handler, _ = recording()
    threads = threads_of(handler)
    waits = Run(threads.bound, [Delivery(message({}))], threads.deadline)
    assert threads._wait_time(waits, time.monotonic()) == 30


def test_a_call_that_waits_for_a_thread_waits_while_there_is_room_for_it():
    """And is given back then, rather than when its event is over."""
    handler, _ = recording()
    threads = threads_of(handler)
    waits = Run(threads.bound, [Delivery(message({}))], threads.deadline)
    assert threads._left(waits, threads.deadline.latest - 31) == pytest.approx(1)
    assert threads._left(waits, threads.deadline.latest - 29) == pytest.approx(-1)


def test_a_coroutine_that_has_not_begun_is_looked_at_in_time():
    """It begins while the driver waits, and its event may last much longer than its time-out."""

    @consumer(QUEUE)
    async def handler(_: dict) -> None: ...

    bound = bound_for(handler)
    deadline = Deadline(bound, timedelta(seconds=900), 1)
    schedule = Schedule([], bound, deadline)
    driver = AsyncDriver(schedule, bound, deadline, EffectRunner(schedule, bound, deadline))
    waits: Any = Future()
    driver.running[waits] = HandlerTask(bound, [Delivery(message({}))], deadline)
    assert driver._wait_time(time.monotonic()) == 30


def test_a_batch_waits_for_the_one_that_runs():
    """Messages that its end allows to run join the batch."""
    threads = threads_of(batch)
    schedule = Schedule([message({}, id="b")], threads.bound, threads.deadline)
    running: Future[None] = Future()
    threads.running[running] = Run(threads.bound, [Delivery(message({}, id="a"))], threads.deadline)
    assert not threads.work(schedule, io_waits=False)
    del threads.running[running]
    assert threads.work(schedule, io_waits=False)


def test_a_batch_waits_for_the_coroutine_that_runs():
    """The async driver does the same as threads."""
    bound = bound_for(batch, parallel=2)
    deadline = Deadline(bound, None, 1)
    schedule = Schedule([], bound, deadline)

    async def host() -> list[bool]:
        driver = AsyncDriver(schedule, bound, deadline, EffectRunner(schedule, bound, deadline))
        driver.running[asyncio.get_running_loop().create_future()] = HandlerTask(
            bound, [Delivery(message({}))], deadline
        )
        waits = [driver._waits()]
        driver.running.clear()
        return [*waits, driver._waits()]

    assert asyncio.run(host()) == [True, False]


def test_a_batch_waits_for_what_is_to_be_written_and_sent():
    """Pending effects, started or not, may allow more messages to run."""
    bound = bound_for(batch, store=MemoryStore())
    schedule = Schedule([message({}, id="a"), message(b"{", id="b")], bound, Deadline(bound, None, 2))

    def write() -> None:
        delivery, _ = schedule.changes.popleft()
        schedule.advance(delivery, WON)

    write()  # the claim of the first; the verdict of the second waits
    assert (len(schedule.ready), len(schedule.changes), len(schedule.sends)) == (1, 1, 0)
    assert next_job(schedule, bound, io_waits=False) == ()
    write()  # its dead letter waits
    assert (len(schedule.ready), len(schedule.changes), len(schedule.sends)) == (1, 0, 1)
    assert next_job(schedule, bound, io_waits=False) == ()
    delivery, _ = schedule.sends.popleft()
    schedule.advance(delivery, None)
    write()
    assert next_job(schedule, bound, io_waits=True) == ()
    assert next_job(schedule, bound, io_waits=False) == [schedule.deliveries[0]]


# -- coroutines


def test_a_coroutine_that_was_cancelled_may_take_a_moment_to_end():
    """Then it has ended, and its key is free."""

    @consumer(Queue("orders", timeout=0.1))
    async def handler(payload: dict) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(20):  # turns of the loop, and no time
                await asyncio.sleep(0)

    store = MemoryStore()
    assert reasons(
        event_loop.run(handle_async(bound_for(handler, store=store, clock=SystemClock()), [message({})]))
    ) == ["timeout"]
    assert store.records["orders#m-1"].state is State.WAITING


def test_the_span_of_a_coroutine_that_is_closed_hears_of_it():
    """It has not returned."""
    observer = Unkind("")

    @consumer(QUEUE)
    async def handler(payload: dict) -> None:
        await asyncio.sleep(0)

    async def host() -> None:
        bound = bound_for(handler, observer=observer)
        perform = HandlerTask(bound, [Delivery(message({}))], Deadline(bound, None, 1)).perform()
        perform.send(None)
        perform.close()

    asyncio.run(host())
    assert [type(error) for error in observer.errors] == [GeneratorExit]


def test_what_hangs_beside_a_loop_counts_as_hanging():
    """Else each event would wait for one more thread."""
    pool, begun, release = Pool(1, "test"), threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        release.wait(30)

    async def host() -> None:
        call = asyncio.ensure_future(bounded_async(hang, 0.01, pool))
        await asyncio.sleep(0)
        assert begun.wait(30)
        with pytest.raises(TimeoutError, match="no answer"):
            await call

    try:
        asyncio.run(host())
        with pytest.raises(TimeoutError, match="all 1 threads hang"):
            pool.submit(lambda: None)
    finally:
        release.set()
