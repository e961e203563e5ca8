"""Message properties that the rules of a subscription read and change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from cloudqueues.servicebus.amqp import encode
from cloudqueues.servicebus.amqp.decode import whole
from cloudqueues.servicebus.message import (
    CONTENT_TYPE,
    CORRELATION_ID,
    GROUP_ID,
    MESSAGE_ID,
    REPLY_TO,
    REPLY_TO_GROUP_ID,
    SUBJECT,
    TO,
    Content,
    Message,
)  # fmt: skip

FIELDS = {
    "CorrelationId": CORRELATION_ID,
    "MessageId": MESSAGE_ID,
    "To": TO,
    "ReplyTo": REPLY_TO,
    "Label": SUBJECT,
    "SessionId": GROUP_ID,
    "ReplyToSessionId": REPLY_TO_GROUP_ID,
    "ContentType": CONTENT_TYPE,
}
"""Fields that an action can change: names in SQL's `sys.` scope, and positions in the AMQP properties. The order is
that of an encoded correlation filter."""
SYSTEM = (
    *FIELDS, "PartitionKey", "SequenceNumber", "EnqueuedSequenceNumber", "EnqueuedTimeUtc", "ScheduledEnqueueTimeUtc",
    "DeliveryCount",
)  # fmt: skip
"""All names of the `sys.` scope. The service has a few more, which are unset when a message arrives."""


@dataclass(frozen=True, slots=True)
class MessageProperties:
    """Decoded properties of a message, without unset ones."""

    system: Mapping[str, object]
    application: Mapping[str, object]


def properties_of(message: Message, clock_offset: float) -> MessageProperties:
    """Return the properties of a message. `clock_offset`: seconds by which the broker's clock is ahead of the
    clients'."""
    content = message.content
    system: dict[str, object] = {name: _field(content, position) for name, position in FIELDS.items()}
    system |= {
        "PartitionKey": content.partition,
        "SequenceNumber": message.sequence,
        "EnqueuedSequenceNumber": message.first_sequence or message.sequence,
        "EnqueuedTimeUtc": datetime.fromtimestamp(message.enqueued - clock_offset, UTC),
        "ScheduledEnqueueTimeUtc": None if content.due is None else datetime.fromtimestamp(content.due, UTC),
        "DeliveryCount": message.delivery_count,
    }
    return MessageProperties(
        {name: value for name, value in system.items() if value is not None},
        {name: whole(value) for name, value in content.application.items()},
    )


def _field(content: Content, position: int) -> str | None:
    """Return a field as text: AMQP has ids of several types, the service has text only."""
    return _text(whole(content.properties[position]) if position < len(content.properties) else None)


def with_properties(content: Content, before: MessageProperties, after: MessageProperties) -> Content:
    """Return the content with the properties `after`. Unchanged properties keep their bytes."""
    application = {
        name: content.application[name] if _same(name, value, before.application) else encode.value(value)
        for name, value in after.application.items()
    }
    fields = list(content.properties) + [encode.NULL] * (REPLY_TO_GROUP_ID + 1 - len(content.properties))
    changes = {name: after.system.get(name) for name in FIELDS if after.system.get(name) != before.system.get(name)}
    if changes.get("MessageId", "") is None:
        del changes["MessageId"]  # a message always has one
    for name, value in changes.items():
        fields[FIELDS[name]] = encode.value(value)
    return replace(
        content,
        application=application,
        properties=tuple(fields),
        id=_text(changes.get("MessageId", content.id)),
        session=_text(changes.get("SessionId", content.session)),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _same(name: str, value: object, before: Mapping[str, object]) -> bool:
    return name in before and before[name] == value and type(before[name]) is type(value)
