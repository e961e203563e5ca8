"""What the rules of a subscription see of a message, and how what they change of it is written back."""

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
"""What an action can change: names of SQL's `sys.` scope, and where they are in AMQP's properties. The order is that of
a correlation filter on the wire."""
SYSTEM = (
    *FIELDS, "PartitionKey", "SequenceNumber", "EnqueuedSequenceNumber", "EnqueuedTimeUtc", "ScheduledEnqueueTimeUtc",
    "DeliveryCount",
)  # fmt: skip
"""All names of the `sys.` scope. The service knows a few more, which tell nothing of a message that has just arrived."""


@dataclass(frozen=True, slots=True)
class MessageProperties:
    """Decoded, without the fields that are not set."""

    system: Mapping[str, object]
    application: Mapping[str, object]


def properties_of(message: Message, clock_offset: float) -> MessageProperties:
    """`ahead`: seconds by which the broker's time is ahead of its clients' clocks."""
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
    """AMQP's ids are of several types; to the service they are text."""
    return _text(whole(content.properties[position]) if position < len(content.properties) else None)


def with_properties(content: Content, before: MessageProperties, after: MessageProperties) -> Content:
    """The content that `after` is seen of. What is as it was keeps its bytes."""
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
