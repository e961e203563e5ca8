"""Deliveries: a message within one event, and the effects that its lifecycle may request."""

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
    """An effect without arguments."""

    RUN = "run"
    """Run the handler. The result is None, or the exception that it raised."""
    ALONE = "alone"
    """Wait until nothing else runs. The result is None, or the Halted with the reason why the message may not run."""


RUN, ALONE = Signal.RUN, Signal.ALONE


@dataclass(frozen=True, slots=True)
class Send:
    """Send an outgoing message to a queue. The result is None or a SendError."""

    outgoing: OutgoingMessage
    sender: Sender


Effect = Signal | Change | Send
Lifecycle = Generator[Effect, Any, Outcome]


class Halted(PeeklockError):
    """Result of RUN or ALONE: the handler did not start, for lack of time or threads, or because an earlier message of its
    group was not completed."""


class TimedOut(PeeklockError):
    """Result of RUN: the handler exceeded its time-out. `ended`: whether it has ended since."""

    def __init__(self, problem: str, *, ended: bool) -> None:
        super().__init__(problem)
        self.ended = ended


class Delivery:
    """State of a message within its event. Observers and platforms see it as `Settled`."""

    message: Message
    arrived: Message
    """The message before it was unwrapped, as copies and dead letters carry it."""
    key: str
    outcome: Outcome
    duration = 0.0
    started: float | None = None
    """When an `async def` handler began, in monotonic seconds; None before."""
    finished = False
    payload: Any = None
    body = ""
    """Hash of the body, if bodies are checked."""
    spent = 0.0
    """Seconds that the user's hooks took to read the message, out of the time-out that they share with the handler."""
    returned: Any = None
    """Return value of the handler."""
    verdict: Verdict | None = None
    """Set if no attempt can succeed."""
    failure: BaseException | None = None
    """Error that prevented the message from being read this time. It counts as if the handler had raised it."""
    has_key = False
    """True if `key` is the key of the payload, False if it is the id of the message."""
    is_empty = False
    """True if the envelope contains nothing to handle."""
    record_key = ""
    claim: Record | None = None
    """The last record that this lifecycle wrote."""
    unwritten = ""
    """Reason why the last record could not be written."""
    expected_record: Record | None = None
    """Expected record of the key, by which a claim is attempted before the store has been asked."""
    lifecycle: Lifecycle | None = None
    group: Group | None = None
    next_of_key: Delivery | None = None
    waiting = False
    """True while the handler waits for earlier messages of its group."""

    def __init__(self, message: Message) -> None:
        self.message = self.arrived = message
        self.key = message.id

    @property
    def attempt(self) -> int:
        """Number of the attempt, from 1."""
        claim = self.claim
        return self.message.attempt if claim is None else claims.counted(claim)

    def time_since_start(self, now: float) -> float:
        """Return the seconds that an `async def` handler has run so far; 0 when it has not begun."""
        return 0.0 if self.started is None else now - self.started


class Group:
    """Messages of one group, in order. A message may run when all before it are finished and none is delivered again."""

    def __init__(self) -> None:
        self.members: list[Delivery] = []
        self.turn = 0
        """Index of the first member that is not finished."""
        self.halted = False

    def join(self, delivery: Delivery) -> None:
        self.members.append(delivery)
        delivery.group = self

    def next(self) -> Delivery | None:
        """Return the member whose turn it is after another has finished, if it is waiting."""
        members = self.members
        while self.turn < len(members) and members[self.turn].finished:
            self.halted = self.halted or members[self.turn].outcome.disposition is Disposition.ABANDON
            self.turn += 1
        delivery = members[self.turn] if self.turn < len(members) else None
        return delivery if delivery is not None and delivery.waiting else None

    def is_turn_of(self, delivery: Delivery) -> bool:
        return self.turn < len(self.members) and self.members[self.turn] is delivery


FETCH_ERRORS = (OSError, MemoryError, Retry, DeadLetter)
"""Errors which mean that a body could not be fetched, not that it is invalid. OSError includes ConnectionError and
TimeoutError."""


def prepare(delivery: Delivery, bound: BoundConsumer, deadline: Deadline) -> None:
    """Open the envelope, decode the body, read the key and check the age of a message.

    If this calls user code, which may hang, it uses up the time-out of the handler. If no time is left, the message is not
    read, and will be halted.
    """
    if bound.has_hooks and not deadline.has_room():
        return
    try:
        if bound.has_hooks:
            _read_in_time(delivery, bound, deadline)
        else:
            _read(delivery, bound)
    except KeyboardInterrupt:  # Ctrl+C ends the process
        raise
    except BaseException as exc:  # noqa: BLE001 - a user's decoder or key function may raise anything
        _unreadable(delivery, exc)
    if bound.queue.max_age is not None and not delivery.is_empty:
        _check_age(delivery, bound, bound.queue.max_age)


def _read_in_time(delivery: Delivery, bound: BoundConsumer, deadline: Deadline) -> None:
    """Read into a draft, because a hook that cannot be stopped may continue to write to it much later."""
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
    """Return the message with the content that a user's `unwrap` returned, and everything else as it arrived.

    A Message created by a user has neither lineage nor group, and its id may belong to another message. Raises
    InvalidMessage if the hook returned anything else.
    """
    if isinstance(inner, Message):
        return replace(
            message,
            body=inner.body,
            attributes=inner.attributes,
            content_type=inner.content_type,
            lineage=inner.lineage or message.lineage,  # `replay --attempt` gives a later one
            attempt=max(inner.attempt, message.attempt),
        )
    raise InvalidMessage(f"unwrap= returned a {type(inner).__name__} instead of a Message")


def _unreadable(delivery: Delivery, exc: BaseException) -> None:
    """Set the verdict for an error that every attempt would meet, or the failure for one that may pass."""
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
    """Return whether a message was first sent more than `max_age` ago.

    False if the sending time is unknown, and for a redriven dead letter, which is meant to run.
    """
    sent_at = message.sent_at
    return sent_at is not None and not message.effective_lineage.generation and now - sent_at > max_age


def record_key(delivery: Delivery, bound: BoundConsumer) -> str:
    """Return the key of the delivery's record in the store.

    Queues and subscriptions never share a key, so that consumers can share a store, and a key of a payload never equals
    an id.
    """
    return f"{_consumed(delivery, bound)}/{delivery.key}" if delivery.has_key else id_key(delivery, bound)


def id_key(delivery: Delivery, bound: BoundConsumer) -> str:
    """Return the store key for a record of this message alone, whatever the key of its payload."""
    return f"{_consumed(delivery, bound)}#{delivery.message.id}"


def _consumed(delivery: Delivery, bound: BoundConsumer) -> str:
    """Return the name of the queue, and the subscription, because each subscription of a topic gets every message."""
    source = delivery.arrived.source.replace("/", ":")
    return f"{bound.queue.name}@{source}" if source else bound.queue.name
