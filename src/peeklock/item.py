"""A message on its way through one event, and what its life may ask for."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from peeklock import claims
from peeklock.claims import Record, Verdict
from peeklock.errors import InvalidMessage, PeeklockError
from peeklock.message import Message
from peeklock.outcome import Outcome, Reason
from peeklock.parcel import Parcel, Sender
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
    """Answer to RUN: the handler was still running when its time was over."""


class Item:
    """What is known of a message while its event lasts. Not public."""

    __slots__ = (
        "before",
        "claim",
        "duration",
        "key",
        "known",
        "life",
        "message",
        "next_in_group",
        "next_of_key",
        "outcome",
        "payload",
        "record_key",
        "verdict",
        "waiting",
    )

    def __init__(self, message: Message) -> None:
        self.message = message
        self.key = message.id
        self.record_key = ""
        self.payload: Any = None
        self.verdict: Verdict | None = None
        """Set when no attempt could ever succeed."""
        self.claim: Record | None = None
        """The last record that this life wrote."""
        self.known: Record | None = None
        """What the record is believed to be before the store is asked."""
        self.outcome: Outcome | None = None
        self.duration = 0.0
        self.waiting = False
        self.life: Life
        self.before: Item | None = None
        """The message before it in its group."""
        self.next_in_group: Item | None = None
        self.next_of_key: Item | None = None

    @property
    def attempt(self) -> int:
        return self.message.attempt if self.claim is None else claims.counted(self.claim)


def prepare(item: Item, plan: Plan) -> None:
    """Decode the body and find the key, or set the verdict."""
    message, max_age = item.message, plan.queue.max_age
    try:
        if max_age is not None and message.sent_at is not None and plan.clock.now() - message.sent_at > max_age:
            item.verdict = Verdict(reason=Reason.EXPIRED, detail=f"older than {max_age}")
            return
        if plan.unwrap is not None:
            item.message = message = plan.unwrap(message)
        item.payload = plan.decode(message)
        if plan.key is not None:
            item.key = plan.key(item.payload)
    except InvalidMessage as exc:
        item.verdict = Verdict(reason=Reason.INVALID, detail=str(exc))
    except Exception as exc:  # noqa: BLE001 - the user's decoder or key: whatever it raises, this body is at fault
        item.verdict = Verdict(reason=Reason.INVALID, detail=f"decoding raised {type(exc).__name__}")


def record_key(item: Item, plan: Plan) -> str:
    """Two queues never share a key, so consumers may share a store; and a business key is never taken for an id."""
    keyed = plan.key is not None and item.verdict is None
    return f"{plan.queue.name}/{item.key}" if keyed else f"{plan.queue.name}#{item.message.id}"
