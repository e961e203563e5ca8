"""From an event's messages to their outcomes. Never raises because of a message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from queue import SimpleQueue

from peeklock.concurrency.bounded import bounded
from peeklock.concurrency.interrupt import Alarm, can_interrupt
from peeklock.engine.bound_consumer import Plan, Window
from peeklock.engine.effects import Desk
from peeklock.engine.executors import Inline, Threads
from peeklock.engine.runaways import blocked, watch
from peeklock.engine.scheduler import Schedule
from peeklock.engine.sync_driver import Thread
from peeklock.message import Message
from peeklock.observability.guarded import observer_failed, tell_settled
from peeklock.observability.observer import LogObserver, Settled


def run(plan: Plan, messages: Sequence[Message], remaining: timedelta | None = None) -> Sequence[Settled]:
    """Run any consumer from synchronous code: an `async def` on the process's own loop."""
    if not plan.handler.is_async:
        return handle(plan, messages, remaining)
    from peeklock.concurrency import event_loop

    window = Window(plan, remaining, len(messages))
    schedule = Schedule(messages, plan, window)
    try:
        return event_loop.run(_drive_async(plan, window, schedule), window.waiting())
    except TimeoutError:
        return blocked(plan, messages, schedule)


def handle(plan: Plan, messages: Sequence[Message], remaining: timedelta | None = None) -> Sequence[Settled]:
    """Run a synchronous consumer over one event's messages; their outcomes in the same order.

    `remaining`: how long the platform leaves this event; None where it does not say.
    """
    window = Window(plan, remaining, len(messages))
    inbox: SimpleQueue[object] = SimpleQueue()
    if plan.parallel == 1 and can_interrupt():
        with Alarm(window.timeout, window.latest) as alarm:
            window.limited = alarm.limited
            schedule = Schedule(messages, plan, window)
            Thread(schedule, Desk(schedule, plan, window), Inline(plan, window, alarm), inbox).drive()
    else:
        schedule = Schedule(messages, plan, window)
        crew = Threads(plan, window, inbox)
        try:
            Thread(schedule, Desk(schedule, plan, window), crew, inbox).drive()
        finally:
            crew.close()
        watch(plan, window, crew.runaways)
    telling = _telling(plan, schedule)
    if telling is not None:
        try:
            bounded(telling, window.observing(), plan.io)
        except TimeoutError as exc:
            _hangs(plan, exc)
    return schedule.items


async def handle_async(
    plan: Plan, messages: Sequence[Message], remaining: timedelta | None = None
) -> Sequence[Settled]:
    """As `handle`, for a consumer that is an `async def`."""
    window = Window(plan, remaining, len(messages))
    return await _drive_async(plan, window, Schedule(messages, plan, window))


async def _drive_async(plan: Plan, window: Window, schedule: Schedule) -> Sequence[Settled]:
    from peeklock.engine.async_driver import Loop, bounded_async

    loop = Loop(schedule, plan, window, Desk(schedule, plan, window))
    await loop.drive()
    watch(plan, window, loop.runaways)
    telling = _telling(plan, schedule)
    if telling is not None:
        try:
            await bounded_async(telling, window.observing(), plan.io)
        except TimeoutError as exc:
            _hangs(plan, exc)
    return schedule.items


def _telling(plan: Plan, schedule: Schedule) -> Callable[[], None] | None:
    """The call that tells the observer, for a thread, since it may hang. None where it would do nothing: an event of ten
    messages would take a quarter longer (benchmarks/)."""
    observer = plan.observer
    if type(observer) is LogObserver and observer.is_quiet(schedule.items):
        return None
    return partial(tell_settled, observer, plan.platform, plan.queue.name, schedule.items)


def _hangs(plan: Plan, error: TimeoutError) -> None:
    """Log it in a thread, without waiting: what hangs may be the log."""
    with suppress(TimeoutError):
        plan.io.submit(partial(observer_failed, plan.queue.name, error))
