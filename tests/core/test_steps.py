"""Schedules and threads driven by hand, step by step: what no driver can be made to do at a given moment."""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import wait
from queue import SimpleQueue
from typing import Any

from peeklock import Queue, Retry, consumer
from peeklock.concurrency.interrupt import HANGS_WHEN_TRACED
from peeklock.engine.bound_consumer import Deadline
from peeklock.engine.delivery import Send, TimedOut
from peeklock.engine.pooled_executor import PooledExecutor
from peeklock.engine.scheduler import Schedule
from peeklock.stores.memory import MemoryStore
from peeklock.testing import FakeClock
from tests.core.world import bound_for, message

ORDERS = Queue("orders", max_attempts=3, timeout=30)


def looks() -> int:
    """Until an interruption is raised: in a traced process one look is not enough (`interrupt.HANGS_WHEN_TRACED`)."""
    return 1000 if HANGS_WHEN_TRACED and sys.gettrace() is not None else 1


@consumer(ORDERS)
def handler(_: dict) -> None: ...


def schedule_of(messages: Any, store: Any = None, clock: FakeClock | None = None) -> Schedule:
    bound = bound_for(handler, store=store, clock=clock)
    return Schedule(messages, bound, Deadline(bound, None, len(messages)))


def answer(schedule: Schedule) -> None:
    """Answer as a store and a queue that accept everything."""
    store = schedule.bound.store
    while schedule.changes or schedule.sends:
        if schedule.sends:
            delivery, send = schedule.sends.popleft()
            assert isinstance(send, Send)
            schedule.advance(delivery, None)
        else:
            assert store is not None
            delivery, change = schedule.changes.popleft()
            schedule.advance(delivery, *store.swap([change]))


def test_what_needs_no_run_ends_beside_the_one_whose_turn_it_is():
    """A message that waited for its turn and runs now is not started again."""
    schedule = schedule_of([message({}, id="a", group="g"), message({}, id="b", group="g"), message(b"", group="g")])
    first = schedule.start()
    assert first is not None
    assert schedule.start() is None, "b waits, and of what follows only the dead letter leaves"
    schedule.advance(first, None)
    second = schedule.start()
    answer(schedule)
    assert schedule.start() is None
    assert [delivery.finished for delivery in schedule.deliveries] == [True, False, True]
    assert second is schedule.deliveries[1]


def test_a_suspect_of_a_halted_group_is_not_claimed():
    """The record is unchanged: a claim whose process dies would be the next lost start."""
    store, clock = MemoryStore(), FakeClock()
    messages = [message({}, id="a", group="g"), message({}, id="b", group="g")]
    answer(schedule_of(messages[1:], store, clock))  # and nothing more: the process dies
    clock.advance(ORDERS.timeout * 10)
    schedule = schedule_of(messages, store, clock)
    answer(schedule)
    lost, first = store.records["orders#b"], schedule.start()
    assert first is not None
    schedule.advance(first, Retry())
    answer(schedule)
    assert schedule.resume_suspect()
    answer(schedule)
    assert [delivery.outcome.reason for delivery in schedule.deliveries] == ["retry", "halted"]
    assert store.records["orders#b"] == lost


def test_a_handler_is_interrupted_when_its_time_is_found_to_be_over():
    """And not at the next look, which may come when its grace is over as well: what ends at once has ended."""
    began = threading.Event()

    @consumer(ORDERS)
    def waiting(_: dict) -> None:
        began.set()
        for _ in range(20_000):
            time.sleep(0.001)

    bound = bound_for(waiting, parallel=2)
    deadline = Deadline(bound, None, 1)
    executor = PooledExecutor(bound, deadline, SimpleQueue())
    executor.work(Schedule([message({})], bound, deadline), io_waits=False)
    ((future, run),) = executor.running.items()
    assert began.wait(10)
    assert run.due is not None
    late = run.due + 0.001
    for _ in range(looks()):
        executor._errors(future, run, late)
    wait((future,), 10)
    (error,) = executor._errors(future, run, late + 60) or [None]
    assert isinstance(error, TimedOut)
    assert error.ended
