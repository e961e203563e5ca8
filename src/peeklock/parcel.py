"""What is handed to a queue: new messages, delayed copies and letters."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from peeklock.delays import ZERO
from peeklock.errors import SendError
from peeklock.message import Message, Trail

REASON = "peeklock-reason"
"""A letter's attribute: why it was dead-lettered."""

MAX_DETAIL = 1024
# Characters of a letter's detail. Service Bus allows 4,096 for a dead letter's description, and the other attributes
# have to fit as well: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A message on its way to a queue."""

    body: bytes
    trail: Trail
    attributes: Mapping[str, str | bytes] = field(default_factory=dict)
    group: str | None = None
    delay: timedelta = ZERO
    content_type: str | None = None
    """A MIME type, for platforms that carry one."""
    letter: bool = False
    """Whether it is a dead letter."""
    bare: bool = False
    """Sent as it came, without lineage and reason: nothing else fits into the queue."""
    origin: Message | None = field(default=None, repr=False, compare=False)
    """The delivery that a copy or a letter was made of; None for a new message."""

    @property
    def id(self) -> str:
        """For platforms that deduplicate: equal for two publications of the same copy, different otherwise."""
        return f"{self.trail.derived}.letter" if self.letter else self.trail.derived


def to_json(value: str | bytes) -> str | dict[str, str]:
    """An attribute or a body as JSON holds it."""
    return value if isinstance(value, str) else {"base64": base64.b64encode(value).decode()}


def from_json(value: Any) -> str | bytes:
    """What `to_json` was given. Raises KeyError, TypeError or ValueError for what it did not write."""
    return value if isinstance(value, str) else base64.b64decode(value["base64"], validate=True)


class Sender(Protocol):
    """Hands parcels to one queue.

    `send` answers for each parcel in order: None once the queue has it for certain, else what went wrong. Raises
    SendError when it can say nothing of any of them. Safe for several threads.
    """

    def send(self, parcels: Sequence[Parcel], /) -> Sequence[SendError | None]: ...


def copy_of(message: Message, *, hop: int, attempts: int, delay: timedelta) -> Parcel:
    return Parcel(
        body=message.body,
        trail=message.lineage.copy(hop=hop, attempts=attempts),
        attributes=message.attributes,
        group=message.group,
        delay=delay,
        content_type=message.content_type,
        origin=message,
    )


def letter_of(message: Message, *, reason: str, detail: str, attempts: int, now: datetime) -> Parcel:
    about = {
        REASON: str(reason),
        "peeklock-queue": message.queue,
        "peeklock-attempts": str(attempts),
        "peeklock-at": now.isoformat(timespec="milliseconds"),
    }
    if detail:
        about["peeklock-detail"] = detail[:MAX_DETAIL]
    return Parcel(
        body=message.body,
        trail=message.lineage.letter(),
        attributes={**message.attributes, **about},
        group=message.group,
        content_type=message.content_type,
        letter=True,
        origin=message,
    )
