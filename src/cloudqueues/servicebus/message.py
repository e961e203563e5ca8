"""Messages in the broker: the sender's content and the broker's state."""

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
"""Positions in the AMQP properties section."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Content of a message, encoded, so that receivers get exactly what was sent, types included."""

    durable: bytes = encode.TRUE
    priority: bytes = encode.NULL
    ttl: float | None = None
    """Time to live in seconds."""
    delivery_annotations: tuple[tuple[bytes, bytes], ...] = ()
    annotations: tuple[tuple[bytes, bytes], ...] = ()
    """Sender's annotations, without those that only the broker writes."""
    properties: tuple[bytes, ...]
    """Fields of the properties section, from the message id on; the last ones may be missing."""
    application: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    body: bytes = b""
    """Sections of the body, and the footer."""
    id: str | None = None
    """Sender's message id."""
    session: str | None = None
    partition: str | None = None
    due: float | None = None
    """Enqueue time of a scheduled message by the sender's clock, in seconds since 1970."""

    def with_application(self, changes: Mapping[str, object]) -> Content:
        """Return the content with application properties set, or removed where the value is None."""
        if not changes:
            return self
        encoded = {name: encode.value(value) for name, value in changes.items()}
        return replace(self, application={**self.application, **encoded})


class Message:
    """Message in one entity, which alone changes it."""

    __slots__ = (
        "content", "copied", "delivery_count", "enqueued", "expires", "first_sequence", "hops", "locked_until",
        "ready", "sequence", "source", "state", "token",
    )  # fmt: skip

    def __init__(self, content: Content, sequence: int, enqueued: float) -> None:
        self.content = content
        self.sequence = sequence
        self.first_sequence: int | None = None
        """Sequence number at the first entity, if the message was forwarded or copied to a subscription."""
        self.enqueued = enqueued
        self.state = ACTIVE
        self.delivery_count = 0
        """Failed deliveries."""
        self.token: uuid.UUID | None = None
        """Token of the message's lock."""
        self.locked_until = 0.0
        self.expires = math.inf
        self.ready = False
        """True if the message waits for a consumer."""
        self.hops = 0
        """Number of times that the message was forwarded."""
        self.source: str | None = None
        """Entity where a forwarded dead letter was dead-lettered."""
        self.copied = False
        """True if the fault `duplicate` made this message."""

    @property
    def key(self) -> str:
        """Identity for fault draws: the sender's id, or the sequence number."""
        return self.content.id or str(self.sequence)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMessage:
    """Snapshot of a message, for tests."""

    sequence_number: int
    message_id: str
    """Message id of the sender, or a generated one."""
    session_id: str | None
    body: bytes
    state: str
    """`active`, `deferred` or `scheduled`."""
    locked: bool
    delivery_count: int
    """Failed deliveries."""
    properties: Mapping[str, object]
    """Application properties, with the reason of a dead letter."""
