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
from peeklock.engine.bound_consumer import BoundConsumer, Deadline
from peeklock.errors import DeadLetter, InvalidMessage, NothingToHandle, PeeklockError, Retry, is_a
from peeklock.idempotency import claims
from peeklock.idempotency.decision import Verdict
from peeklock.idempotency.record import Record
from peeklock.idempotency.store import Change
from peeklock.message import Message
from peeklock.outcome import Disposition, Outcome, Reason
from peeklock.outgoing import MAX_DETAIL, OutgoingMessage, Sender


class Signal(Enum):
    RUN = "run"
    """Run the handler; answered with None, or with what it raised."""
    ALONE = "alone"
    """Wait until nothing else runs; answered with None, or with the Halted that says why it may not run."""


RUN, ALONE = Signal.RUN, Signal.ALONE


@dataclass(frozen=True, slots=True)
class Send:
    """Hand an outgoing message to a queue; answered with None or a SendError."""

    outgoing: OutgoingMessage
    sender: Sender


Effect = Signal | Change | Send
Lifecycle = Generator[Effect, Any, Outcome]


class Halted(PeeklockError):
    """Answer to RUN and ALONE: there is no time or no thread to start, or an earlier message of the group was not completed."""


class TimedOut(PeeklockError):
    """Answer to RUN: the handler was still running when its time was over. `ended`: it runs no more."""

    def __init__(self, problem: str, *, ended: bool) -> None:
        super().__init__(problem)
        self.ended = ended


class Delivery:
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
    lifecycle: Lifecycle | None = None
    group: Group | None = None
    next_of_key: Delivery | None = None
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
        self.members: list[Delivery] = []
        self.turn = 0
        """Whose turn it is: all before are finished."""
        self.halted = False

    def join(self, delivery: Delivery) -> None:
        self.members.append(delivery)
        delivery.group = self

    def next(self) -> Delivery | None:
        """After one has finished: the one whose turn has come, if it waits for that."""
        members = self.members
        while self.turn < len(members) and members[self.turn].finished:
            self.halted = self.halted or members[self.turn].outcome.disposition is Disposition.ABANDON
            self.turn += 1
        delivery = members[self.turn] if self.turn < len(members) else None
        return delivery if delivery is not None and delivery.waiting else None

    def is_turn_of(self, delivery: Delivery) -> bool:
        return self.turn < len(self.members) and self.members[self.turn] is delivery


FETCH_ERRORS = (OSError, MemoryError, Retry, DeadLetter)
"""What says that a body could not be had, rather than that it is wrong: ConnectionError and TimeoutError are OSErrors."""


def prepare(delivery: Delivery, bound: BoundConsumer, deadline: Deadline) -> None:
    """Open the envelope, decode the body and find the key; then see how old the message is. Where that calls what may hang,
    it takes its time from the handler's; a message that is not read, as none is left, will be halted."""
    if bound.has_hooks and not deadline.has_room():
        return
    try:
        if bound.has_hooks:
            _read_in_time(delivery, bound, deadline)
        else:
            _read(delivery, bound)
    except KeyboardInterrupt:  # somebody at a terminal wants out
        raise
    except BaseException as exc:  # noqa: BLE001 - the user's decoder or key function: whatever it raises
        _unreadable(delivery, exc)
    if bound.queue.max_age is not None and not delivery.is_empty:
        _check_age(delivery, bound, bound.queue.max_age)


def _read_in_time(delivery: Delivery, bound: BoundConsumer, deadline: Deadline) -> None:
    """Read into another item: a hook that cannot be stopped may go on long after."""
    draft, began = Delivery(delivery.message), deadline.clock.monotonic()
    try:
        deadline.call_within(partial(_read, draft, bound), deadline.timeout)
    except Interrupted:
        raise TimedOut(f"reading it took longer than {deadline.timeout:g} s", ended=True) from None
    except NoThread as exc:
        raise Halted(f"it could not be read: {exc}") from None
    except BaseException:
        vars(delivery).update(vars(draft))
        raise
    else:
        vars(delivery).update(vars(draft))
    finally:
        delivery.spent = deadline.clock.monotonic() - began


def _read(delivery: Delivery, bound: BoundConsumer) -> None:
    message = delivery.message
    if bound.unwrap is not None:
        delivery.message = message = _opened(
            message, bound.unwrap(replace(message, attributes=dict(message.attributes)))
        )
    delivery.payload = bound.decode(message)
    if bound.check_body:
        delivery.body = hash_of(message.body)
    if bound.key is not None:
        delivery.key = bound.key(delivery.payload)
        delivery.has_key = True


def _opened(message: Message, inner: object) -> Message:
    """The message with what an envelope of the user's found in it, and all else as it arrived: a new Message has no lineage
    and no group, and an id that may be another's. Raises InvalidMessage for an answer that is no message."""
    if isinstance(inner, Message):
        return replace(
            message,
            body=inner.body,
            attributes=inner.attributes,
            content_type=inner.content_type,
            lineage=inner.lineage or message.lineage,  # `replay --attempt` gives a later one
            attempt=max(inner.attempt, message.attempt),
        )
    raise InvalidMessage(f"unwrap= returned a {type(inner).__name__} and no Message")


def _unreadable(delivery: Delivery, exc: BaseException) -> None:
    """What is wrong with a message is its verdict; what may be right the next time is its failure."""
    delivery.body = ""
    if is_a(exc, InvalidMessage):
        delivery.verdict = Verdict(reason=Reason.INVALID, detail=str(exc)[:MAX_DETAIL])
    elif is_a(exc, NothingToHandle):
        delivery.is_empty = True
    elif is_a(exc, Exception) and not is_a(exc, (TimedOut, Halted)) and not _is_fetch_error(exc):
        delivery.verdict = Verdict(reason=Reason.INVALID, detail=f"decoding raised {type(exc).__name__}")
    else:
        delivery.failure = exc


def _check_age(delivery: Delivery, bound: BoundConsumer, max_age: timedelta) -> None:
    if is_older(delivery.arrived, max_age, bound.clock.now()):
        delivery.verdict, delivery.body = Verdict(reason=Reason.EXPIRED, detail=f"older than {max_age}"), ""


def _is_fetch_error(exc: Exception) -> bool:
    if is_a(exc, ExceptionGroup):
        return exc.subgroup(FETCH_ERRORS) is not None
    return is_a(exc, FETCH_ERRORS)


def is_older(message: Message, max_age: timedelta, now: datetime) -> bool:
    """Whether its producer sent it longer ago. Where that is not known it is not; and a redriven dead letter never is,
    since whoever brings it back wants it to run."""
    sent_at = message.sent_at
    return sent_at is not None and not message.effective_lineage.generation and now - sent_at > max_age


def record_key(delivery: Delivery, bound: BoundConsumer) -> str:
    """Two queues never share a key, nor do two subscriptions, so consumers may share a store; and a business key is never
    taken for an id."""
    return f"{_consumed(delivery, bound)}/{delivery.key}" if delivery.has_key else id_key(delivery, bound)


def id_key(delivery: Delivery, bound: BoundConsumer) -> str:
    """The name of the record of this message alone, whatever its key."""
    return f"{_consumed(delivery, bound)}#{delivery.message.id}"


def _consumed(delivery: Delivery, bound: BoundConsumer) -> str:
    """The queue's name, and the subscription: each one of a topic gets every message. A business key may have a slash."""
    source = delivery.arrived.source.replace("/", ":")
    return f"{bound.queue.name}@{source}" if source else bound.queue.name
