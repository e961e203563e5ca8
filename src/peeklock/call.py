"""Calling the user's function, once, and learning what it raised."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Generator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from peeklock.batch import Batch
from peeklock.item import Item
from peeklock.observe import record
from peeklock.plan import Plan

Errors = Sequence[BaseException | None]


def call(plan: Plan, items: Sequence[Item]) -> Errors:
    """Run the handler on one message, or a batch handler on all; what each of them raised, None for success.

    Whatever the handler raises stays inside, `SystemExit` too, since one message must not end the process of the
    others. Only a KeyboardInterrupt leaves: somebody at a terminal wants out.
    """
    arguments = _arguments(plan, items)
    started = time.monotonic()
    try:
        span = plan.observer.running(items[0].message)
        if span is None:
            returned = plan.handler.call(*arguments)
        else:
            with span:
                returned = plan.handler.call(*arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as exc:  # noqa: BLE001 - see above
        return _each(items, exc, time.monotonic() - started)
    return _read(plan, items, returned, time.monotonic() - started)


async def call_async(plan: Plan, items: Sequence[Item]) -> Errors:
    """As `call`, for an `async def`. Its cancellation is the caller's business."""
    arguments = _arguments(plan, items)
    started = time.monotonic()
    try:
        with plan.observer.running(items[0].message) or nullcontext():
            returned = await plan.handler.call(*arguments)
    except GeneratorExit:  # it is being closed, and must not go on
        raise
    except BaseException as exc:  # noqa: BLE001 - as in `call`, and a keyboard interrupts no coroutine
        return _each(items, exc, time.monotonic() - started)
    return _read(plan, items, returned, time.monotonic() - started)


def call_one(plan: Plan, item: Item) -> BaseException | None:
    """As `call`, for a handler of single messages. Apart for its cost, which each message pays."""
    if item.claim is not None:
        item.message = replace(item.message, attempt=item.attempt, fence=item.claim.version)
    handler = plan.handler
    arguments = (item.payload, item.message) if handler.wants_message else (item.payload,)
    try:
        span = plan.observer.running(item.message)
        if span is None:
            returned = handler.call(*arguments)
        else:
            with span:
                returned = handler.call(*arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as exc:  # noqa: BLE001 - as in `call`
        return exc
    if returned is None:
        return None
    item.returned = returned
    return _unstarted(returned)


def _arguments(plan: Plan, items: Sequence[Item]) -> tuple[Any, ...]:
    for item in items:
        if item.claim is not None:
            item.message = replace(item.message, attempt=item.attempt, fence=item.claim.version)
    if plan.handler.batch:
        return (Batch([item.payload for item in items], [item.message for item in items]),)
    first = items[0]
    return (first.payload, first.message) if plan.handler.wants_message else (first.payload,)


def _each(items: Sequence[Item], error: BaseException | None, duration: float) -> Errors:
    for item in items:
        item.duration = duration
    return [error] * len(items)


def _read(plan: Plan, items: Sequence[Item], returned: object, duration: float) -> Errors:
    """A handler's value is nobody's business; a batch handler's says who failed."""
    errors = _each(items, None, duration)
    if returned is None:
        return errors
    unstarted = _unstarted(returned)
    if unstarted is not None or not plan.handler.batch:
        items[0].returned = returned
        return [unstarted] * len(items)
    if not isinstance(returned, Mapping):
        problem = TypeError(
            f"a batch handler returns None or {{message id: exception}}, not {type(returned).__name__};"
            " nothing says which messages failed, so all count as failed"
        )
        return [problem] * len(items)
    known = {item.message.id for item in items}
    for stranger in returned.keys() - known:
        record("peeklock.unknown_id %s", {"queue": plan.queue.name, "message_id": str(stranger)})
    return [_failure(returned.get(item.message.id)) for item in items]


def _unstarted(returned: object) -> BaseException | None:
    """A handler's value is nobody's business, unless it is the handler itself, not run yet: what a wrapper that is no
    `async def` makes of one that is. To complete its message would lose it."""
    if not isinstance(returned, (Awaitable, Generator, AsyncGenerator)):
        return None
    if isinstance(returned, Coroutine):
        returned.close()  # else the interpreter warns of it at some later time
    return TypeError(
        f"the handler returned a {type(returned).__name__} that nobody awaits, so it did not run;"
        " make what wraps it an `async def` that awaits it"
    )


def _failure(value: object) -> BaseException | None:
    if value is None or isinstance(value, BaseException):
        return value
    return RuntimeError(str(value))
