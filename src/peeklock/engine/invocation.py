"""Calls of the user's function: its arguments, its errors and its time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from peeklock.batch import Batch
from peeklock.concurrency.timer import SHORTEST
from peeklock.engine.bound_consumer import BoundConsumer, Deadline
from peeklock.engine.delivery import Delivery, TimedOut
from peeklock.errors import DeadLetter, Retry, is_a, leaves_process
from peeklock.message import Message

Errors = Sequence[BaseException | None]

CallResult = tuple[BaseException | None, Any]
"""Exception and return value of a call."""


def attempt(function: Callable[..., Any], arguments: Sequence[Any]) -> CallResult:
    """Call a function and return its exception or its value.

    SystemExit is returned too, because a message must not end the process. Only a KeyboardInterrupt on the main thread is
    raised.
    """
    try:
        return None, function(*arguments)
    except BaseException as exc:
        if leaves_process(exc):
            raise
        return exc, None


async def attempt_async(function: Callable[..., Awaitable[Any]], arguments: Sequence[Any]) -> CallResult:
    """Await a function and return its exception or its value.

    A cancellation is returned like any other exception, and left to the caller. GeneratorExit is raised, because a coroutine
    that is being closed must not continue; if the handler raised it itself, the caller finds it on the task.
    """
    try:
        return None, await function(*arguments)
    except GeneratorExit:
        raise
    except BaseException as exc:
        if leaves_process(exc):
            raise
        return exc, None


def arguments_of(bound: BoundConsumer, deliveries: Sequence[Delivery]) -> tuple[Any, ...]:
    """Return the arguments of a call. They are collected in advance, because a finished delivery drops its payload."""
    if not bound.handler.batch:
        return arguments_of_one(bound, deliveries[0])
    for delivery in deliveries:
        _number(delivery)
    return (
        Batch([delivery.payload for delivery in deliveries], [_handed(delivery.message) for delivery in deliveries]),
    )


def arguments_of_one(bound: BoundConsumer, delivery: Delivery) -> tuple[Any, ...]:
    """Return the arguments for a handler of single messages."""
    if delivery.claim is not None:
        _number(delivery)
    if not bound.handler.wants_message:
        return (delivery.payload,)
    return delivery.payload, _handed(delivery.message)


def _handed(message: Message) -> Message:
    """Return the message with a copy of its attributes, so that a handler's changes to them do not get into delayed copies and
    dead letters."""
    return replace(message, attributes=dict(message.attributes))


def _number(delivery: Delivery) -> None:
    if delivery.claim is not None:
        delivery.message = replace(delivery.message, attempt=delivery.attempt, fence=delivery.claim.version)


def errors_of(bound: BoundConsumer, deliveries: Sequence[Delivery], ended: CallResult) -> Errors:
    """Return the error of each message, None for success. Only a batch handler's return value matters: its failures."""
    error, returned = ended
    if error is None and returned is not None:
        deliveries[0].returned = returned
        error = error_in_return(returned, awaited=bound.handler.is_async)
        if error is None and bound.handler.batch:
            return _failures(deliveries, returned)
    return [error] * len(deliveries)


def error_in_return(returned: object, *, awaited: bool = False) -> BaseException | None:
    """A handler's value is nobody's business, unless it is the handler itself, not run yet: what a wrapper that is no
    `async def` makes of one that is. To complete its message would lose it. `awaited`: it is the value of an `async def`,
    which has run; a task or a future that it returns has begun as well."""
    if is_a(returned, (Retry, DeadLetter)):
        return returned  # meant as `raise`, as `on_error` returns it
    if not is_a(returned, (Coroutine if awaited else Awaitable, Generator, AsyncGenerator)):
        return None
    if is_a(returned, Coroutine):
        returned.close()  # else the interpreter warns of it at some later time
    return TypeError(
        f"the handler returned a {type(returned).__name__} that nobody awaits, so it did not run;"
        " make what wraps it an `async def` that awaits it"
    )


def _failures(deliveries: Sequence[Delivery], returned: object) -> Errors:
    try:
        answer = dict(returned) if isinstance(returned, Mapping) else returned
        problem = _problem(answer, {delivery.message.id for delivery in deliveries})
    except Exception as exc:  # noqa: BLE001 - a mapping of the user's own, which may raise anything
        return [exc] * len(deliveries)
    if problem or not isinstance(answer, dict):
        return [TypeError(f"{problem}; nothing says which messages failed, so all count as failed")] * len(deliveries)
    return [answer.get(delivery.message.id) for delivery in deliveries]


def _problem(answer: object, ids: set[str]) -> str:
    """Why a batch handler's answer says nothing of any message; empty where it does say who failed."""
    wanted = "a batch handler returns None or {message id: exception}"
    if not isinstance(answer, dict):
        return f"{wanted}, not {type(answer).__name__}"
    strangers = sum(name not in ids for name in answer)
    if strangers:
        hint = "take the id of each message from `batch.pairs()` or `batch.messages`"
        return f"{wanted}: {strangers} of its {len(answer)} keys are no id of a message of this batch; {hint}"
    for value in answer.values():
        if value is not None and not isinstance(value, BaseException):
            return f"{wanted}, and a value of type {type(value).__name__} is neither an exception nor None"
    return ""


def time_of(deliveries: Sequence[Delivery], deadline: Deadline) -> float:
    """Seconds that a call may take: the time-out, less what it took to read its message. A batch has all of it while the
    event has room for that: what is beside one that was slow to read must not fail for it."""
    left = deadline.timeout - max(delivery.spent for delivery in deliveries)
    if len(deliveries) > 1:
        left = max(left, min(deadline.timeout, deadline.room()))
    return max(left, SHORTEST)


def timed_out(bound: BoundConsumer, how: str, *, ended: bool) -> TimedOut:
    return TimedOut(f"ran past its {bound.queue.timeout.total_seconds():g} s, {how}", ended=ended)
