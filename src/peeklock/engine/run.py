"""Entry points of the engine: they run the messages of an event, and never raise because of a message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from queue import SimpleQueue

from peeklock.concurrency.bounded import bounded
from peeklock.concurrency.interrupt import HandlerTimer, can_interrupt
from peeklock.engine.bound_consumer import BoundConsumer, Deadline
from peeklock.engine.effects import EffectRunner
from peeklock.engine.main_thread_executor import MainThreadExecutor
from peeklock.engine.pooled_executor import PooledExecutor
from peeklock.engine.runaways import blocked, watch
from peeklock.engine.scheduler import Schedule
from peeklock.engine.sync_driver import SyncDriver
from peeklock.message import Message
from peeklock.observability.guarded import notify_settled, observer_failed
from peeklock.observability.observer import LogObserver, Settled


def run(bound: BoundConsumer, messages: Sequence[Message], remaining: timedelta | None = None) -> Sequence[Settled]:
    """Run a consumer from synchronous code. An `async def` runs on the event loop of the process."""
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
    """Run a synchronous consumer over the messages of an event. Return their outcomes in the same order.

    `remaining`: the time that the platform leaves for this event; None if unknown.
    """
    deadline = Deadline(bound, remaining, len(messages))
    inbox: SimpleQueue[object] = SimpleQueue()
    if bound.parallel == 1 and can_interrupt():
        with HandlerTimer(deadline.timeout, deadline.latest) as timer:
            deadline.call_within = timer.call_within
            schedule = Schedule(messages, bound, deadline)
            SyncDriver(
                schedule, EffectRunner(schedule, bound, deadline), MainThreadExecutor(bound, deadline, timer), inbox
            ).drive()
    else:
        schedule = Schedule(messages, bound, deadline)
        executor = PooledExecutor(bound, deadline, inbox)
        try:
            SyncDriver(schedule, EffectRunner(schedule, bound, deadline), executor, inbox).drive()
        finally:
            executor.close()
        watch(bound, deadline, executor.runaways)
    notify = _notification(bound, schedule)
    if notify is not None:
        try:
            bounded(notify, deadline.seconds_for_observer(), bound.io)
        except TimeoutError as exc:
            _log_hanging_observer(bound, exc)
    return schedule.deliveries


async def handle_async(
    bound: BoundConsumer, messages: Sequence[Message], remaining: timedelta | None = None
) -> Sequence[Settled]:
    """Run an `async def` consumer over the messages of an event. Return their outcomes in the same order."""
    deadline = Deadline(bound, remaining, len(messages))
    return await _drive_async(bound, deadline, Schedule(messages, bound, deadline))


async def _drive_async(bound: BoundConsumer, deadline: Deadline, schedule: Schedule) -> Sequence[Settled]:
    from peeklock.engine.async_driver import AsyncDriver, bounded_async

    loop = AsyncDriver(schedule, bound, deadline, EffectRunner(schedule, bound, deadline))
    await loop.drive()
    watch(bound, deadline, loop.runaways)
    notify = _notification(bound, schedule)
    if notify is not None:
        try:
            await bounded_async(notify, deadline.seconds_for_observer(), bound.io)
        except TimeoutError as exc:
            _log_hanging_observer(bound, exc)
    return schedule.deliveries


def _notification(bound: BoundConsumer, schedule: Schedule) -> Callable[[], None] | None:
    """Return the call that notifies the observer, to be made in a thread because it may hang.

    None if it would do nothing.
    """
    # The thread would add 150 % to the CPU time of an event of one message, 55 % to that of ten (SQS, an empty handler).
    observer = bound.observer
    if type(observer) is LogObserver and observer.is_quiet(schedule.deliveries):
        return None
    return partial(notify_settled, observer, bound.platform, bound.queue.name, schedule.deliveries)


def _log_hanging_observer(bound: BoundConsumer, error: TimeoutError) -> None:
    """Log in a thread, without waiting, because the log itself may be what hangs."""
    with suppress(TimeoutError):
        bound.io.submit(partial(observer_failed, bound.queue.name, error))
