"""Runaways: handlers that are still running when their event ends. Their late ends are recorded if possible."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from peeklock.engine.bound_consumer import BoundConsumer, Deadline
from peeklock.engine.delivery import Delivery
from peeklock.engine.invocation import Errors
from peeklock.engine.scheduler import Schedule
from peeklock.engine.settlement import abandoned, finish
from peeklock.idempotency import claims
from peeklock.idempotency.record import Record, State
from peeklock.idempotency.store import Answer, Change
from peeklock.message import Message
from peeklock.observability.observer import Settled, log_event
from peeklock.outcome import Outcome, Reason

PAUSES = (0.0, 0.5, 2.0)
"""Seconds before each attempt to record a late end."""

Pending = list[tuple[Delivery, BaseException | None]]


class Runaway(Protocol):
    """A call of a handler that did not end in time."""

    deliveries: Sequence[Delivery]

    def result(self) -> Errors:
        """Return the errors of the call, once it has ended."""
        ...


def watch(bound: BoundConsumer, deadline: Deadline, runaways: Mapping[Any, Runaway]) -> None:
    """Record the ends of these calls in the background when they come. Without a store there is nothing to record."""
    if bound.store is not None:
        for future, run in runaways.items():
            future.add_done_callback(partial(_ended, bound, deadline, run))


@dataclass(frozen=True, slots=True)
class UnfinishedDelivery:
    """A message that had no outcome when its event ended."""

    message: Message
    outcome: Outcome
    key: str
    duration: float


def blocked(bound: BoundConsumer, messages: Sequence[Message], schedule: Schedule) -> Sequence[Settled]:
    """Return the outcomes of an event whose event loop is blocked by a handler, of this queue or another.

    Messages without an outcome are delivered again, once the leases of their claims are over. No further handler begins,
    because its time is then over.
    """
    log_event("peeklock.blocked %s", {"queue": bound.queue.name, "detail": "a handler blocks the event loop"})
    deliveries = list(schedule.deliveries)
    deliveries += [Delivery(message) for message in messages[len(deliveries) :]]
    return [delivery if delivery.finished else _unfinished(delivery, bound) for delivery in deliveries]


def _unfinished(delivery: Delivery, bound: BoundConsumer) -> UnfinishedDelivery:
    outcome = abandoned(delivery, bound, Reason.HALTED, delay=None, detail="a handler blocks the event loop")
    return UnfinishedDelivery(delivery.message, outcome, delivery.key, delivery.time_since_start(time.monotonic()))


def _ended(bound: BoundConsumer, deadline: Deadline, run: Runaway, _: object) -> None:
    """Write the end of a call in another thread: this runs where the handler ran, possibly on an event loop."""
    pending = list(zip(run.deliveries, run.result(), strict=True))
    try:
        bound.io.submit(partial(_write, bound, deadline, pending))
    except TimeoutError as exc:
        _unrecorded(bound, exc)


def _write(bound: BoundConsumer, deadline: Deadline, pending: Pending) -> None:
    failure: Exception | None = None
    for pause in PAUSES:
        time.sleep(pause)
        try:
            pending = _unwritten(bound, deadline, pending)
        except Exception as exc:  # noqa: BLE001 - any failure means that the changes may have been made
            failure = exc
        if not pending:
            return
    _unrecorded(bound, failure)


def _unwritten(bound: BoundConsumer, deadline: Deadline, pending: Pending) -> Pending:
    """Write these ends. Return those that may not have been written."""
    assert bound.store is not None, "`watch` does nothing without a store"
    answers = bound.store.swap([_change(bound, deadline, delivery, error) for delivery, error in pending])
    return [end for end, answer in zip(pending, answers, strict=True) if not _is_over(end[0], deadline, answer)]


def _change(bound: BoundConsumer, deadline: Deadline, delivery: Delivery, error: BaseException | None) -> Change:
    claim = delivery.claim
    assert claim is not None, "with a store, only a claimed message runs"
    if error is None:
        ended = finish(delivery, bound, deadline, claim, deadline.timeout)
    else:
        ended = claims.release_late(claim, deadline.stamp(claim))
    return Change(key=delivery.record_key, expected=claim.version, record=ended)


def _is_over(delivery: Delivery, deadline: Deadline, answer: Answer) -> bool:
    """Return whether an end was written, or cannot be any more because the lease was over and the key has another owner.

    If the present record is a later one of the same event, whose answer came too late, the next attempt follows it.
    """
    if answer.won or answer.error is not None:
        return answer.won
    current = answer.record
    if current is not None and _is_ours(current, deadline):
        delivery.claim = current
        return False
    return True


def _is_ours(current: Record, deadline: Deadline) -> bool:
    return current.owner == deadline.owner and current.state is State.RUNNING


def _unrecorded(bound: BoundConsumer, failure: Exception | None) -> None:
    fields = {"queue": bound.queue.name, "error": "" if failure is None else type(failure).__name__}
    log_event("peeklock.unrecorded %s", fields, error=failure)
