"""A message on its way through one event, and what its life may ask for."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from functools import partial
from typing import Any

from peeklock.concurrency.interrupt import Interrupted
from peeklock.consuming.body_hash import hash_of
from peeklock.consuming.hooks import NoThread
from peeklock.engine.bound_consumer import Plan, Window
from peeklock.errors import DeadLetter, InvalidMessage, NothingToHandle, PeeklockError, Retry, is_a
from peeklock.idempotency import claims
from peeklock.idempotency.claims import Record, Verdict
from peeklock.idempotency.store import Change
from peeklock.message import Message
from peeklock.outcome import Disposition, Outcome, Reason
from peeklock.outgoing import MAX_DETAIL, Parcel, Sender


class Signal(Enum):
    RUN = "run"
    """Run the handler; answered with None, or with what it raised."""
    ALONE = "alone"
    """Wait until nothing else runs; answered with None, or with the Halted that says why it may not run."""


RUN, ALONE = Signal.RUN, Signal.ALONE


@dataclass(frozen=True, slots=True)
class Send:
    """Hand a parcel to a queue; answered with None or a SendError."""

    parcel: Parcel
    sender: Sender


Effect = Signal | Change | Send
Life = Generator[Effect, Any, Outcome]


class Halted(PeeklockError):
    """Answer to RUN and ALONE: there is no time or no thread to start, or an earlier message of the group was not completed."""


class TimedOut(PeeklockError):
    """Answer to RUN: the handler was still running when its time was over. `ended`: it runs no more."""

    def __init__(self, problem: str, *, ended: bool) -> None:
        super().__init__(problem)
        self.ended = ended


class Item:
    """What is known of a message while its event lasts; `Settled` is all that others see of it.

    The defaults are the class's, and there are no slots: most messages never change most of them (benchmarks/).
    """

    message: Message
    arrived: Message
    """The message before it was unwrapped: what copies and dead letters carry."""
    key: str
    outcome: Outcome
    duration = 0.0
    finished = False
    payload: Any = None
    body = ""
    """Hash of the body, where that is checked."""
    spent = 0.0
    """Seconds that hooks of the user's took to read it, of the time-out that they share with the handler."""
    returned: Any = None
    """What the handler returned, where that is kept."""
    verdict: Verdict | None = None
    """Set when no attempt could ever succeed."""
    failure: BaseException | None = None
    """What kept it from being decoded this time; the message ends as if its handler had raised it."""
    has_key = False
    """Whether its own key was found, so that `key` is not the message's id."""
    is_empty = False
    """Whether its envelope holds nothing to handle."""
    record_key = ""
    claim: Record | None = None
    """The last record that this life wrote."""
    unwritten = ""
    """Why the last record that this life wanted to write is not there."""
    known: Record | None = None
    """What the record is believed to be before the store is asked."""
    life: Life | None = None
    group: Group | None = None
    next_of_key: Item | None = None
    waiting = False
    """At the gate: for those before it in its group."""

    def __init__(self, message: Message) -> None:
        self.message = self.arrived = message
        self.key = message.id

    @property
    def attempt(self) -> int:
        claim = self.claim
        return self.message.attempt if claim is None else claims.counted(claim)


class Group:
    """The messages of one group, in order. One may run when all before it are finished and none of them comes back."""

    def __init__(self) -> None:
        self.members: list[Item] = []
        self.turn = 0
        """Whose turn it is: all before are finished."""
        self.halted = False

    def join(self, item: Item) -> None:
        self.members.append(item)
        item.group = self

    def next(self) -> Item | None:
        """After one has finished: the one whose turn has come, if it waits for that."""
        members = self.members
        while self.turn < len(members) and members[self.turn].finished:
            self.halted = self.halted or members[self.turn].outcome.disposition is Disposition.ABANDON
            self.turn += 1
        item = members[self.turn] if self.turn < len(members) else None
        return item if item is not None and item.waiting else None

    def is_turn_of(self, item: Item) -> bool:
        return self.turn < len(self.members) and self.members[self.turn] is item


FETCH_ERRORS = (OSError, MemoryError, Retry, DeadLetter)
"""What says that a body could not be had, rather than that it is wrong: ConnectionError and TimeoutError are OSErrors."""


def prepare(item: Item, plan: Plan, window: Window) -> None:
    """Open the envelope, decode the body and find the key; then see how old the message is. Where that calls what may hang,
    it takes its time from the handler's; a message that is not read, as none is left, will be halted."""
    if plan.has_hooks and not window.has_room():
        return
    try:
        if plan.has_hooks:
            _read_in_time(item, plan, window)
        else:
            _read(item, plan)
    except KeyboardInterrupt:  # somebody at a terminal wants out
        raise
    except BaseException as exc:  # noqa: BLE001 - the user's decoder or key function: whatever it raises
        _unreadable(item, exc)
    if plan.queue.max_age is not None and not item.is_empty:
        _check_age(item, plan, plan.queue.max_age)


def _read_in_time(item: Item, plan: Plan, window: Window) -> None:
    """Read into another item: a hook that cannot be stopped may go on long after."""
    draft, began = Item(item.message), window.clock.monotonic()
    try:
        window.limited(partial(_read, draft, plan), window.timeout)
    except Interrupted:
        raise TimedOut(f"reading it took longer than {window.timeout:g} s", ended=True) from None
    except NoThread as exc:
        raise Halted(f"it could not be read: {exc}") from None
    except BaseException:
        vars(item).update(vars(draft))
        raise
    else:
        vars(item).update(vars(draft))
    finally:
        item.spent = window.clock.monotonic() - began


def _read(item: Item, plan: Plan) -> None:
    message = item.message
    if plan.unwrap is not None:
        item.message = message = _opened(message, plan.unwrap(replace(message, attributes=dict(message.attributes))))
    item.payload = plan.decode(message)
    if plan.check_body:
        item.body = hash_of(message.body)
    if plan.key is not None:
        item.key = plan.key(item.payload)
        item.has_key = True


def _opened(message: Message, inner: object) -> Message:
    """The message with what an envelope of the user's found in it, and all else as it arrived: a new Message has no lineage
    and no group, and an id that may be another's. Raises InvalidMessage for an answer that is no message."""
    if isinstance(inner, Message):
        return replace(
            message,
            body=inner.body,
            attributes=inner.attributes,
            content_type=inner.content_type,
            trail=inner.trail or message.trail,  # `replay --attempt` gives a later one
            attempt=max(inner.attempt, message.attempt),
        )
    raise InvalidMessage(f"unwrap= returned a {type(inner).__name__} and no Message")


def _unreadable(item: Item, exc: BaseException) -> None:
    """What is wrong with a message is its verdict; what may be right the next time is its failure."""
    item.body = ""
    if is_a(exc, InvalidMessage):
        item.verdict = Verdict(reason=Reason.INVALID, detail=str(exc)[:MAX_DETAIL])
    elif is_a(exc, NothingToHandle):
        item.is_empty = True
    elif is_a(exc, Exception) and not is_a(exc, (TimedOut, Halted)) and not _is_fetch_error(exc):
        item.verdict = Verdict(reason=Reason.INVALID, detail=f"decoding raised {type(exc).__name__}")
    else:
        item.failure = exc


def _check_age(item: Item, plan: Plan, max_age: timedelta) -> None:
    if is_older(item.arrived, max_age, plan.clock.now()):
        item.verdict, item.body = Verdict(reason=Reason.EXPIRED, detail=f"older than {max_age}"), ""


def _is_fetch_error(exc: Exception) -> bool:
    if is_a(exc, ExceptionGroup):
        return exc.subgroup(FETCH_ERRORS) is not None
    return is_a(exc, FETCH_ERRORS)


def is_older(message: Message, max_age: timedelta, now: datetime) -> bool:
    """Whether its producer sent it longer ago. Where that is not known it is not; and a redriven dead letter never is,
    since whoever brings it back wants it to run."""
    sent_at = message.sent_at
    return sent_at is not None and not message.lineage.generation and now - sent_at > max_age


def record_key(item: Item, plan: Plan) -> str:
    """Two queues never share a key, nor do two subscriptions, so consumers may share a store; and a business key is never
    taken for an id."""
    return f"{_consumed(item, plan)}/{item.key}" if item.has_key else id_key(item, plan)


def id_key(item: Item, plan: Plan) -> str:
    """The name of the record of this message alone, whatever its key."""
    return f"{_consumed(item, plan)}#{item.message.id}"


def _consumed(item: Item, plan: Plan) -> str:
    """The queue's name, and the subscription: each one of a topic gets every message. A business key may have a slash."""
    source = item.arrived.source.replace("/", ":")
    return f"{plan.queue.name}@{source}" if source else plan.queue.name
