"""Encoding of messages: decoded from senders and encoded for receivers."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cloudqueues.servicebus.amqp import encode
from cloudqueues.servicebus.amqp.decode import Described, decode, whole
from cloudqueues.servicebus.amqp.scan import fields, skip
from cloudqueues.servicebus.errors import DECODE, AmqpError, Refused
from cloudqueues.servicebus.message import ACTIVE, GROUP_ID, MESSAGE_ID, STATES, Content, Message, StoredMessage

HEADER, DELIVERY_ANNOTATIONS, ANNOTATIONS, PROPERTIES, APPLICATION, DATA, SEQUENCE, VALUE, FOOTER = range(0x70, 0x79)
BATCH = 0x80013700
"""Message format of a batch: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide"""

_BROKERS = frozenset(
    f"x-opt-{name}"
    for name in (
        "sequence-number", "enqueued-time", "enqueue-sequence-number", "locked-until", "lock-token", "message-state",
        "deadletter-source",
    )
)  # fmt: skip
"""Annotations that only the broker writes."""
_SCHEDULED, _PARTITION = "x-opt-scheduled-enqueue-time", "x-opt-partition-key"
_DESCRIPTOR = 3
"""Bytes of a section before its value, in the form that all clients write. Other forms are decoded."""


def read(data: bytes, message_format: int) -> list[Content]:
    """Return the messages of one delivery. Raises Refused for all of it when any is invalid."""
    try:
        if message_format != BATCH:
            return [_content(data)]
        return [_content(whole(body[1])) for body in _sections(data) if body[0] == DATA]
    except AmqpError as exc:
        raise Refused(exc.condition, f"the message cannot be read: {exc.text}") from exc


def _sections(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each section's code and encoded value."""
    at = 0
    while at < len(data):
        end = skip(data, at)
        if data[at : at + 2] != b"\x00\x53":
            descriptor, value_at = decode(data, at + 1) if data[at] == 0 else (None, at)
        else:
            descriptor, value_at = data[at + 2], at + _DESCRIPTOR
        if not isinstance(descriptor, int) or not HEADER <= descriptor <= FOOTER:
            raise AmqpError(DECODE, f"{descriptor!r} is not a section of a message")
        yield descriptor, data[value_at:end]
        at = end


@dataclass(slots=True)
class Parts:
    """Sections of a message, encoded. A message may have several body sections."""

    named: dict[int, bytes] = field(default_factory=dict[int, bytes])
    body: list[bytes] = field(default_factory=list[bytes])


def _parts(data: bytes) -> Parts:
    parts = Parts()
    for code, value in _sections(data):
        if code >= DATA:
            parts.body.append(encode.described(code, value))
        else:
            parts.named[code] = value
    return parts


def _content(data: bytes) -> Content:
    parts = _parts(data)
    header = _typed(parts.named.get(HEADER, encode.EMPTY_LIST), list)
    properties = _typed(parts.named.get(PROPERTIES, encode.EMPTY_LIST), list)
    annotations = _typed(parts.named.get(ANNOTATIONS, b"\xc1\x01\x00"), dict)
    raw_header = fields(parts.named[HEADER]) if header else []
    return Content(
        durable=raw_header[0] if raw_header else encode.TRUE,
        priority=raw_header[1] if len(raw_header) > 1 else encode.NULL,
        ttl=_ttl(header),
        delivery_annotations=_delivery(parts.named.get(DELIVERY_ANNOTATIONS)),
        annotations=_senders(parts.named[ANNOTATIONS]) if annotations else (),
        properties=_identified(fields(parts.named[PROPERTIES]) if properties else []),
        application=_application(parts.named.get(APPLICATION)),
        body=b"".join(parts.body),
        id=_text(properties, MESSAGE_ID),
        session=_text(properties, GROUP_ID),
        partition=_optional(annotations.get(_PARTITION)),
        due=_seconds(annotations.get(_SCHEDULED)),
    )


def _identified(properties: list[bytes]) -> tuple[bytes, ...]:
    """Return the properties with a message id, which every message of the service has: the JavaScript SDK relies on
    it."""
    if not properties or properties[MESSAGE_ID] == encode.NULL:
        return (encode.string(uuid.uuid4().hex), *properties[1:])
    return tuple(properties)


def _typed(data: bytes, kind: type) -> Any:
    value = whole(data)
    if not isinstance(value, kind):
        raise AmqpError(DECODE, f"a section of {type(value).__name__}, not of {kind.__name__}")
    return value


def _ttl(header: list[Any]) -> float | None:
    milliseconds = header[2] if len(header) > 2 else None  # noqa: PLR2004 - durable, priority, ttl
    return milliseconds / 1000 if isinstance(milliseconds, int) else None


def _text(properties: list[Any], position: int) -> str | None:
    return _optional(properties[position] if position < len(properties) else None)


def _optional(value: object) -> str | None:
    return None if value is None else str(value)


def _seconds(moment: object) -> float | None:
    return moment.timestamp() if isinstance(moment, datetime) else None


def _senders(data: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Return the annotations without those that only the broker writes."""
    parts = fields(data)
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return tuple((name, value) for name, value in pairs if whole(name) not in _BROKERS)


def _delivery(data: bytes | None) -> tuple[tuple[bytes, bytes], ...]:
    """Return the sender's delivery annotations."""
    return _senders(data) if data is not None and _typed(data, dict) else ()


def _application(data: bytes | None) -> dict[str, bytes]:
    if data is None:
        return {}
    _typed(data, dict)
    parts = fields(data)
    return {str(whole(name)): value for name, value in zip(parts[::2], parts[1::2], strict=True)}


_ANNOTATED = struct.Struct(">Bq")
_LABELS = tuple(
    encode.symbol(f"x-opt-{name}")
    for name in ("sequence-number", "enqueue-sequence-number", "enqueued-time", "message-state", "locked-until")
)
_SOURCE = encode.symbol("x-opt-deadletter-source")
_TOKEN = encode.symbol("x-opt-lock-token")


def render(message: Message, clock_offset: float) -> bytes:
    """Return a message as receivers get it. `clock_offset`: seconds by which the broker's clock is ahead of the
    clients'."""
    content = message.content
    ttl = encode.NULL if content.ttl is None else encode.uint(min(round(content.ttl * 1000), 2**32 - 1))
    header = encode.list_((content.durable, content.priority, ttl, encode.NULL, encode.uint(message.delivery_count)))
    delivery = (*_lock(message), *content.delivery_annotations)
    parts = [
        encode.described(HEADER, header),
        encode.described(DELIVERY_ANNOTATIONS, encode.map_(delivery)),
        encode.described(ANNOTATIONS, encode.map_((*_annotations(message, clock_offset), *content.annotations))),
    ]
    if content.properties:
        parts.append(encode.described(PROPERTIES, encode.list_(content.properties)))
    if content.application:
        pairs = ((encode.string(name), value) for name, value in content.application.items())
        parts.append(encode.described(APPLICATION, encode.map_(pairs)))
    parts.append(content.body)
    return b"".join(parts)


def _lock(message: Message) -> list[tuple[bytes, bytes]]:
    """Return the lock token as a delivery annotation: a deferred message has no delivery tag to carry it."""
    return [] if message.token is None else [(_TOKEN, encode.uuid_(message.token))]


def _annotations(message: Message, clock_offset: float) -> list[tuple[bytes, bytes]]:
    """Return the broker's annotations, without unset ones, as in the service: the SDK's own tests count the bytes."""
    pack = _ANNOTATED.pack
    sequence, first, enqueued, state, locked = _LABELS
    annotations = [
        (sequence, pack(0x81, message.sequence)),
        (enqueued, pack(0x83, int((message.enqueued - clock_offset) * 1000))),
    ]
    if message.first_sequence is not None:
        annotations.append((first, pack(0x81, message.first_sequence)))
    if message.state != ACTIVE:
        annotations.append((state, encode.integer(message.state)))
    if message.token is not None:
        annotations.append((locked, pack(0x83, int((message.locked_until - clock_offset) * 1000))))
    if message.source is not None:
        annotations.append((_SOURCE, encode.string(message.source)))
    return annotations


def stored(message: Message) -> StoredMessage:
    """Return a snapshot of a message."""
    content = message.content
    return StoredMessage(
        sequence_number=message.sequence,
        message_id=str(whole(content.properties[MESSAGE_ID])),
        session_id=content.session,
        body=b"".join(_data(value) for _, value in _sections(content.body)),
        state=STATES[message.state],
        locked=message.token is not None,
        delivery_count=message.delivery_count,
        properties={name: whole(value) for name, value in content.application.items()},
    )


def _data(encoded: bytes) -> bytes:
    """Return the bytes of a data section, or the encoded value of any other body."""
    value = whole(encoded)
    return value if isinstance(value, bytes) else encoded


@dataclass(frozen=True, slots=True)
class Request:
    """Request to a management node."""

    id: bytes
    """Encoded message id, which is returned as the correlation id whatever its type."""
    reply_to: str | None
    application: Mapping[str, Any]
    body: Any


def request(data: bytes, message_format: int) -> Request:
    """Return the request in a message. Raises Refused for an invalid one."""
    contents = read(data, message_format)
    if len(contents) != 1:
        raise Refused(DECODE, "a request is one message")
    content = contents[0]
    properties = [whole(value) for value in content.properties]
    body = decode(content.body)[0] if content.body else None
    return Request(
        content.properties[MESSAGE_ID],
        _text(properties, 4),
        {name: whole(value) for name, value in content.application.items()},
        body.value if isinstance(body, Described) else None,
    )


def response(correlation: bytes, application: Mapping[str, bytes], body: bytes) -> bytes:
    properties = encode.list_((*[encode.NULL] * 5, correlation))
    pairs = [(encode.string(name), value) for name, value in application.items()]
    return b"".join(
        (
            encode.described(PROPERTIES, properties),
            encode.described(APPLICATION, encode.map_(pairs)),
            encode.described(VALUE, body),
        )
    )
