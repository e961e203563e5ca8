"""From an event's messages to their outcomes. Never raises because of a message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from queue import SimpleQueue

from peeklock.concurrency.bounded import bounded
from peeklock.concurrency.interrupt import Alarm, can_interrupt
from peeklock.engine.bound_consumer import BoundConsumer, Deadline
from peeklock.engine.effects import Desk
from peeklock.engine.executors import MainThreadExecutor, PooledExecutor
from peeklock.engine.runaways import blocked, watch
from peeklock.engine.scheduler import Schedule
from peeklock.engine.sync_driver import Thread
from peeklock.message import Message
from peeklock.observability.guarded import notify_settled, observer_failed
from peeklock.observability.observer import LogObserver, Settled


def run(bound: BoundConsumer, messages: Sequence[Message], remaining: timedelta | None = None) -> Sequence[Settled]:
    """Run any consumer from synchronous code: an `async def` on the process's own loop."""
    if not bound.handler.is_async:
        return handle(bound, messages, remaining)
    from peeklock.concurrency import event_loop

    deadline = Deadline(bound, remaining, len(messages))
    schedule = Schedule(messages, bound, deadline)
    try:
        return event_loop.run(_drive_async(bound, deadline, schedule), deadline.waiting())
    except TimeoutError:
        return blocked(bound, messages, schedule)


def handle(bound: BoundConsumer, messages: Sequence[Message], remaining: timedelta | None = None) -> Sequence[Settled]:
    """Run a synchronous consumer over one event's messages; their outcomes in the same order.

    `remaining`: how long the platform leaves this event; None where it does not say.
    """
    deadline = Deadline(bound, remaining, len(messages))
    inbox: SimpleQueue[object] = SimpleQueue()
    if bound.parallel == 1 and can_interrupt():
        with Alarm(deadline.timeout, deadline.latest) as alarm:
            deadline.limited = alarm.limited
            schedule = Schedule(messages, bound, deadline)
            Thread(schedule, Desk(schedule, bound, deadline), MainThreadExecutor(bound, deadline, alarm), inbox).drive()
    else:
        schedule = Schedule(messages, bound, deadline)
        executor = PooledExecutor(bound, deadline, inbox)
        try:
            Thread(schedule, Desk(schedule, bound, deadline), executor, inbox).drive()
        finally:
            executor.close()
        watch(bound, deadline, executor.runaways)
    telling = _telling(bound, schedule)
    if telling is not None:
        try:
            bounded(telling, deadline.observing(), bound.io)
        except TimeoutError as exc:
            _hangs(bound, exc)
    return schedule.items


async def handle_async(
    bound: BoundConsumer, messages: Sequence[Message], remaining: timedelta | None = None
) -> Sequence[Settled]:
    """As `handle`, for a consumer that is an `async def`."""
    deadline = Deadline(bound, remaining, len(messages))
    return await _drive_async(bound, deadline, Schedule(messages, bound, deadline))


async def _drive_async(bound: BoundConsumer, deadline: Deadline, schedule: Schedule) -> Sequence[Settled]:
    from peeklock.engine.async_driver import Loop, bounded_async

    loop = Loop(schedule, bound, deadline, Desk(schedule, bound, deadline))
    await loop.drive()
    watch(bound, deadline, loop.runaways)
    telling = _telling(bound, schedule)
    if telling is not None:
        try:
            await bounded_async(telling, deadline.observing(), bound.io)
        except TimeoutError as exc:
            _hangs(bound, exc)
    return schedule.items


def _telling(bound: BoundConsumer, schedule: Schedule) -> Callable[[], None] | None:
    """The call that tells the observer, for a thread, since it may hang. None where it would do nothing: an event of ten
    messages would take a quarter longer (benchmarks/)."""
    observer = bound.observer
    if type(observer) is LogObserver and observer.is_quiet(schedule.items):
        return None
    return partial(notify_settled, observer, bound.platform, bound.queue.name, schedule.items)


def _hangs(bound: BoundConsumer, error: TimeoutError) -> None:
    """Log it in a thread, without waiting: what hangs may be the log."""
    with suppress(TimeoutError):
        bound.io.submit(partial(observer_failed, bound.queue.name, error))
