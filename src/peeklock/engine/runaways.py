"""Events that end before all of their handlers: what they answer, and how a late end is still recorded."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from peeklock.engine.bound_consumer import Plan, Window
from peeklock.engine.delivery import Item
from peeklock.engine.invocation import Errors
from peeklock.engine.scheduler import Schedule
from peeklock.engine.settlement import abandoned, finish
from peeklock.idempotency import claims
from peeklock.idempotency.claims import Record, State
from peeklock.idempotency.store import Answer, Change
from peeklock.message import Message
from peeklock.observability.observer import Settled, record
from peeklock.outcome import Outcome, Reason

PAUSES = (0.0, 0.5, 2.0)
"""Seconds before each try to record a late end."""

Ends = list[tuple[Item, BaseException | None]]


class Runaway(Protocol):
    """A call of the handler that did not end in time."""

    items: Sequence[Item]

    def result(self) -> Errors:
        """What came of it, once it has ended."""
        ...


def watch(plan: Plan, window: Window, runaways: Mapping[Any, Runaway]) -> None:
    """Record these ends when they come, in nobody's way. Without a store there is nothing to record."""
    if plan.store is not None:
        for future, run in runaways.items():
            future.add_done_callback(partial(_ended, plan, window, run))


@dataclass(frozen=True, slots=True)
class Left:
    """A message of an event that was left alone."""

    message: Message
    outcome: Outcome
    key: str
    duration: float = 0.0


def blocked(plan: Plan, messages: Sequence[Message], schedule: Schedule) -> Sequence[Settled]:
    """What came of each message of an event whose loop is blocked, by a handler of this queue or another: those that have
    no outcome come back. Their claims hold until their leases are over, and no further handler begins: its time is over
    before it could."""
    record("peeklock.blocked %s", {"queue": plan.queue.name, "detail": "a handler blocks the event loop"})
    items = list(schedule.items)
    items += [Item(message) for message in messages[len(items) :]]
    return [item if item.finished else Left(item.message, _left(item, plan), item.key) for item in items]


def _left(item: Item, plan: Plan) -> Outcome:
    return abandoned(item, plan, Reason.HALTED, delay=None, detail="a handler blocks the event loop")


def _ended(plan: Plan, window: Window, run: Runaway, _: object) -> None:
    """Called where the handler ran: on an event loop, too, which must not wait for a store."""
    ends = list(zip(run.items, run.result(), strict=True))
    try:
        plan.io.submit(partial(_write, plan, window, ends))
    except TimeoutError as exc:
        _unrecorded(plan, exc)


def _write(plan: Plan, window: Window, ends: Ends) -> None:
    failure: Exception | None = None
    for pause in PAUSES:
        time.sleep(pause)
        try:
            ends = _unwritten(plan, window, ends)
        except Exception as exc:  # noqa: BLE001 - any failure of a store means the same
            failure = exc
        if not ends:
            return
    _unrecorded(plan, failure)


def _unwritten(plan: Plan, window: Window, ends: Ends) -> Ends:
    """Write how they ended; those of which it is not known to be written."""
    assert plan.store is not None, "watched only with a store"
    answers = plan.store.swap([_change(plan, window, item, error) for item, error in ends])
    return [end for end, answer in zip(ends, answers, strict=True) if not _is_over(end[0], window, answer)]


def _change(plan: Plan, window: Window, item: Item, error: BaseException | None) -> Change:
    claim = item.claim
    assert claim is not None, "with a store, only a claimed message runs"
    if error is None:
        ended = finish(item, plan, window, claim, window.timeout)
    else:
        ended = claims.let_go(claim, window.stamp(claim))
    return Change(key=item.record_key, expected=claim.version, record=ended)


def _is_over(item: Item, window: Window, answer: Answer) -> bool:
    """Written, or not to be written any more, since the lease was over and the key is another's. A later record of this
    event, whose answer came too late, is followed."""
    if answer.won or answer.error is not None:
        return answer.won
    current = answer.record
    if current is not None and _is_ours(current, window):
        item.claim = current
        return False
    return True


def _is_ours(current: Record, window: Window) -> bool:
    return current.owner == window.owner and current.state is State.RUNNING


def _unrecorded(plan: Plan, failure: Exception | None) -> None:
    told = {"queue": plan.queue.name, "error": "" if failure is None else type(failure).__name__}
    record("peeklock.unrecorded %s", told, error=failure)
