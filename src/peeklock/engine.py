"""From an event's messages to their outcomes. Never raises because of a message."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from queue import SimpleQueue
from typing import Any

from peeklock import claims
from peeklock.crew import Alarm, Inline, Threads, can_interrupt
from peeklock.drive import Thread
from peeklock.ending import finish
from peeklock.item import Item
from peeklock.message import Message
from peeklock.observe import Settled, record
from peeklock.plan import Plan, Window
from peeklock.schedule import Schedule
from peeklock.store import Change


def run(plan: Plan, messages: Sequence[Message], remaining: timedelta | None = None) -> Sequence[Settled]:
    """Run any consumer from synchronous code: an `async def` on the process's own loop."""
    if not plan.handler.is_async:
        return handle(plan, messages, remaining)
    from peeklock import loop

    return loop.run(handle_async(plan, messages, remaining))


def handle(plan: Plan, messages: Sequence[Message], remaining: timedelta | None = None) -> Sequence[Settled]:
    """Run a synchronous consumer over one event's messages; their outcomes in the same order.

    `remaining`: how long the platform leaves this event; None where it does not say.
    """
    window = Window(plan, remaining, len(messages))
    schedule = Schedule(messages, plan, window)
    inbox: SimpleQueue[object] = SimpleQueue()
    if plan.parallel == 1 and can_interrupt():
        with Alarm(window.timeout) as alarm:
            Thread(schedule, plan, window, Inline(plan, alarm), inbox).drive()
    else:
        crew = Threads(plan, inbox)
        Thread(schedule, plan, window, crew, inbox).drive()
        _watch(plan, window, crew.runaways)
    return _settled(plan, schedule)


async def handle_async(
    plan: Plan, messages: Sequence[Message], remaining: timedelta | None = None
) -> Sequence[Settled]:
    """As `handle`, for a consumer that is an `async def`."""
    from peeklock.drive_async import Loop

    window = Window(plan, remaining, len(messages))
    schedule = Schedule(messages, plan, window)
    loop = Loop(schedule, plan, window)
    await loop.drive()
    _watch(plan, window, loop.runaways)
    return _settled(plan, schedule)


def _settled(plan: Plan, schedule: Schedule) -> Sequence[Settled]:
    settled = schedule.items
    try:
        plan.observer.settled(plan.platform, settled)
    except Exception as exc:  # noqa: BLE001 - telemetry must not decide over messages
        record("peeklock.observer_failed %s", {"queue": plan.queue.name, "error": type(exc).__name__}, error=exc)
    return settled


def _watch(plan: Plan, window: Window, runaways: dict[Any, Sequence[Item]]) -> None:
    """Record the end of handlers that outlived their time: a late success must not run again."""
    if plan.store is None:
        return
    for future, items in runaways.items():
        future.add_done_callback(partial(_late, plan, window, items))


def _late(plan: Plan, window: Window, items: Sequence[Item], future: Any) -> None:
    errors = [future.exception()] * len(items) if future.exception() else future.result()
    changes = []
    for item, error in zip(items, errors, strict=True):
        claim = item.claim
        assert claim is not None, "with a store, only a claimed message runs"
        ended = finish(item, plan, window, claim) if error is None else claims.let_go(claim, window.stamp(claim))
        changes.append(Change(key=item.record_key, expected=claim.version, record=ended))
    assert plan.store is not None, "watched only with a store"
    try:
        plan.store.swap(changes)
    except Exception as exc:  # noqa: BLE001 - nobody is left to tell; the lease ends by itself
        record("peeklock.unrecorded %s", {"queue": plan.queue.name, "error": type(exc).__name__}, error=exc)
