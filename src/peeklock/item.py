"""A message on its way through one event, and what its life may ask for."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any

from peeklock import claims
from peeklock.claims import Record, Verdict
from peeklock.errors import InvalidMessage, PeeklockError
from peeklock.message import Message
from peeklock.outcome import Disposition, Outcome, Reason
from peeklock.parcel import MAX_DETAIL, Parcel, Sender
from peeklock.plan import Plan
from peeklock.store import Change


class Signal(Enum):
    RUN = "run"
    """Run the handler; answered with None, or with what it raised."""
    ALONE = "alone"
    """Wait until nothing else runs; answered with whether there is still time."""


RUN, ALONE = Signal.RUN, Signal.ALONE


@dataclass(frozen=True, slots=True)
class Send:
    """Hand a parcel to a queue; answered with None or a SendError."""

    parcel: Parcel
    sender: Sender


Effect = Signal | Change | Send
Life = Generator[Effect, Any, Outcome]


class Halted(PeeklockError):
    """Answer to RUN: there was no time to start, or an earlier message of the group was not completed."""


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
    returned: Any = None
    """What the handler returned, where that is kept."""
    verdict: Verdict | None = None
    """Set when no attempt could ever succeed."""
    record_key = ""
    claim: Record | None = None
    """The last record that this life wrote."""
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


def prepare(item: Item, plan: Plan) -> None:
    """Decode the body and find the key, or set the verdict."""
    message, max_age = item.message, plan.queue.max_age
    try:
        if max_age is not None and _is_older(message, max_age, plan):
            item.verdict = Verdict(reason=Reason.EXPIRED, detail=f"older than {max_age}")
            return
        if plan.unwrap is not None:
            item.message = message = plan.unwrap(message)
        item.payload = plan.decode(message)
        if plan.key is not None:
            item.key = plan.key(item.payload)
    except InvalidMessage as exc:
        item.verdict = Verdict(reason=Reason.INVALID, detail=str(exc)[:MAX_DETAIL])
    except Exception as exc:  # noqa: BLE001 - the user's decoder or key: whatever it raises, this body is at fault
        item.verdict = Verdict(reason=Reason.INVALID, detail=f"decoding raised {type(exc).__name__}")


def _is_older(message: Message, max_age: timedelta, plan: Plan) -> bool:
    sent_at = message.sent_at
    return sent_at is not None and plan.clock.now() - sent_at > max_age


def record_key(item: Item, plan: Plan) -> str:
    """Two queues never share a key, so consumers may share a store; and a business key is never taken for an id."""
    keyed = plan.key is not None and item.verdict is None
    return f"{plan.queue.name}/{item.key}" if keyed else f"{plan.queue.name}#{item.message.id}"
