"""A message as the broker keeps it: what the sender wrote, and what happened to it since."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cloudqueues.servicebus.amqp import encode

ACTIVE, DEFERRED, SCHEDULED = 0, 1, 2
"""`x-opt-message-state`: https://learn.microsoft.com/azure/service-bus-messaging/message-browsing"""
STATES = ("active", "deferred", "scheduled")

(
    MESSAGE_ID, USER_ID, TO, SUBJECT, REPLY_TO, CORRELATION_ID, CONTENT_TYPE, CONTENT_ENCODING,
    EXPIRY_TIME, CREATION_TIME, GROUP_ID, GROUP_SEQUENCE, REPLY_TO_GROUP_ID,
) = range(13)  # fmt: skip
"""The positions in AMQP's properties section."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Everything in its encoded form, so that what comes out is what went in, to the type."""

    durable: bytes = encode.TRUE
    priority: bytes = encode.NULL
    ttl: float | None = None
    """Seconds."""
    delivery_annotations: tuple[tuple[bytes, bytes], ...] = ()
    annotations: tuple[tuple[bytes, bytes], ...] = ()
    """The sender's own: those that the broker writes are dropped."""
    properties: tuple[bytes, ...]
    """The fields of the properties section, beginning with an id; the last ones may be left out."""
    application: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    body: bytes = b""
    """The body's sections and the footer."""
    id: str | None = None
    """The sender's."""
    session: str | None = None
    partition: str | None = None
    due: float | None = None
    """When a scheduled message is to appear, by the sender's clock: seconds since 1970."""

    def with_application(self, changes: Mapping[str, object]) -> Content:
        """With application properties set, or removed where the value is None."""
        if not changes:
            return self
        encoded = {name: encode.value(value) for name, value in changes.items()}
        return replace(self, application={**self.application, **encoded})


class Message:
    """One message in one entity. Only the entity changes it."""

    __slots__ = (
        "content", "copied", "delivery_count", "enqueued", "expires", "first_sequence", "hops", "locked_until",
        "ready", "sequence", "source", "state", "token",
    )  # fmt: skip

    def __init__(self, content: Content, sequence: int, enqueued: float) -> None:
        self.content = content
        self.sequence = sequence
        self.first_sequence: int | None = None
        """What it had where it was sent, once it was forwarded or copied for a subscription."""
        self.enqueued = enqueued
        self.state = ACTIVE
        self.delivery_count = 0
        """Deliveries that came to nothing."""
        self.token: uuid.UUID | None = None
        """The lock's, while there is one."""
        self.locked_until = 0.0
        self.expires = math.inf
        self.ready = False
        """Whether the next free consumer gets it."""
        self.hops = 0
        """How often it was forwarded."""
        self.source: str | None = None
        """Of a forwarded letter: the entity that it was dead-lettered in."""
        self.copied = False
        """Whether a fault made it."""

    @property
    def key(self) -> str:
        """What faults are drawn by: the sender's id, else the number."""
        return self.content.id or str(self.sequence)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMessage:
    """What an entity holds, for a test to look at."""

    sequence_number: int
    message_id: str
    """The sender's, or the one that it was given."""
    session_id: str | None
    body: bytes
    state: str
    """`active`, `deferred` or `scheduled`."""
    locked: bool
    delivery_count: int
    """Deliveries that came to nothing."""
    properties: Mapping[str, object]
    """The application's, and a letter's reason."""
