"""Reading of messages from a trigger's argument, and from only those of its metadata that can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from peeklock.errors import EventError
from peeklock.message import LINEAGE, Lineage, Message, is_text
from peeklock.platforms.servicebus.message import EXPIRES_AT
from peeklock.sending.fitting import FORM, unfold

DEAD_LETTER_REASON = "DeadLetterReason"
_HOSTS = frozenset({DEAD_LETTER_REASON, "DeadLetterErrorDescription"})
# https://learn.microsoft.com/azure/service-bus-messaging/service-bus-dead-letter-queues

_SINCE = datetime(2020, 1, 1, tzinfo=UTC)
_MAX_GENERATION = 2**31 - 2
"""A lineage's numbers are below 2**31, and a dead letter adds 1."""


_COLUMNS = {
    "subject": "Subject",
    "correlation_id": "CorrelationId",
    "reply_to": "ReplyTo",
    "reply_to_session_id": "ReplyToSessionId",
    "to": "To",
    "partition_key": "PartitionKey",
}
"""System properties that a producer sets, and the columns of a batch that hold them."""

_ENDLESS = 9000
"""Year from which on an expiry time of .NET means that a message never expires."""

_TYPES: dict[type, str] = {
    bool: "bool",
    int: "int",
    float: "float",
    type(None): "null",
    UUID: "uuid",
    datetime: "datetime",
}


def receive(
    event: Any, queue_name: str, *, sessions: bool = False, entity: str = "", subscribed: bool = False
) -> list[Message]:
    """Return the messages of a trigger's argument. Raises EventError for anything else.

    - `entity`: the queue's or subscription's name on Azure, where that is not `queue_name`.
    - `subscribed`: it is a subscription.
    """
    many = isinstance(event, list)
    raws = event if many else [event]
    if not raws:
        raise EventError("not a Service Bus event: the batch is empty")
    for raw in raws:
        _check(raw)
    session_ids = _sessions(raws, many=many) if sessions else [None] * len(raws)
    whole = [name for name, column in _COLUMNS.items() if not many or _is_trusted(column, raws)]
    source = _Source(
        queue=queue_name,
        entity=entity or queue_name,
        subscription=entity if subscribed else "",
        alone=not many,
        typed=not many or _is_trusted("ContentType", raws),
        system=whole,
    )
    return [_message(raw, source, group) for raw, group in zip(raws, session_ids, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Origin of an event's messages, and which of their metadata can be trusted."""

    queue: str
    entity: str
    subscription: str
    """The entity, where it is a subscription."""
    alone: bool
    """The event is no batch, so that its metadata cannot be shifted."""
    typed: bool
    """The content types can be trusted."""
    system: Sequence[str]
    """Names of the system properties that can be trusted."""


def _check(raw: Any) -> None:
    if (
        not hasattr(raw, "get_body")
        or not hasattr(raw, "application_properties")
        or not isinstance(raw.get_body(), bytes)
    ):
        raise EventError(
            f"not a Service Bus message: {type(raw).__name__}; was the trigger made by servicebus.bind, with data_type BINARY?"
        )


def _is_trusted(column: str, raws: Sequence[Any]) -> bool:
    """Return whether a text column of a batch is complete. The host drops empty entries, so that those after them belong to other
    messages: https://github.com/Azure/azure-functions-python-worker/issues/1122"""
    array = (getattr(raws[0], "metadata", None) or {}).get(f"{column}Array")
    return isinstance(array, list) and len(array) == len(raws)


def _sessions(raws: Sequence[Any], *, many: bool) -> list[str]:
    """Return the session of each message. A batch has one session, whose name may be empty and so missing from the column."""
    named = [raw.session_id if isinstance(raw.session_id, str) else "" for raw in raws]
    if many and not _is_trusted("SessionId", raws):
        return [next(filter(None, named), "")] * len(raws)
    return named


def _message(raw: Any, source: _Source, group: str | None) -> Message:
    named = raw.application_properties if isinstance(raw.application_properties, dict) else {}
    properties = {_name(name): value for name, value in named.items()}
    native_id = _native_id(raw, source)
    sent_ms = _millis(raw.enqueued_time_utc)
    lineage = _lineage(properties, native_id, sent_ms)
    delivery = raw.delivery_count if type(raw.delivery_count) is int and raw.delivery_count > 0 else 1
    producers = {name: value for name, value in properties.items() if not _is_ours(name)}
    content_type = raw.content_type if source.typed and isinstance(raw.content_type, str) else None
    message = Message(
        id=lineage.id if lineage else native_id,
        body=raw.get_body(),
        queue=source.queue,
        delivery=delivery,
        attempt=delivery + (lineage.attempts if lineage else 0),
        group=group,
        sent_ms=sent_ms,
        attributes={name: _plain(value) for name, value in producers.items()},
        content_type=content_type or None,
        lineage=lineage,
        native_id=native_id,
        subscription=source.subscription,
        raw=raw,
        types={name: _TYPES[type(value)] for name, value in producers.items() if type(value) in _TYPES} or None,
        system=_system(raw, source) or None,
    )
    unfold(message, properties.get(FORM))
    return message


def _name(name: str | bytes) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


def _system(raw: Any, source: _Source) -> dict[str, str]:
    """Return the producer's system properties, as far as they certainly belong to this message."""
    named = {name: getattr(raw, name, None) for name in source.system}
    system = {name: text for name, text in named.items() if isinstance(text, str) and text}
    expires_at = getattr(raw, "expires_at_utc", None)
    if isinstance(expires_at, datetime) and expires_at.year < _ENDLESS:
        system[EXPIRES_AT] = _aware(expires_at).isoformat()
    return system


def _native_id(raw: Any, source: _Source) -> str:
    """Return the message's id; in a batch, or where it has none, an id from its sequence number.

    The id must stay the same over all deliveries. A batch's column of ids does not ensure that, since whether it is complete
    depends on the other messages of the batch. Sequence numbers repeat in another or recreated queue, and are unique
    together with the enqueued time and the entity.
    """
    if source.alone and isinstance(raw.message_id, str) and raw.message_id and is_text(raw.message_id):
        return raw.message_id
    if type(raw.sequence_number) is not int:
        raise EventError("not a Service Bus message: it has neither a message id nor a sequence number")
    enqueued = _millis(raw.enqueued_time_utc)
    moment = "" if enqueued is None else f".{enqueued}"
    return f"seq-{raw.sequence_number}{moment}@{source.entity}"


def _lineage(properties: dict[str, Any], native_id: str, sent_ms: int | None) -> Lineage | None:
    """Return the message's lineage; for one that the broker dead-lettered and that was put back, with the next generation.

    Such a message has the broker's dead-letter reason, and still the lineage that it had before. The generation is derived from
    the time of its return, to tell several returns apart: with the next number alone, the second return would be taken for
    the first, and completed without a run.
    """
    text = properties.get(LINEAGE)
    lineage = Lineage.load(text) if isinstance(text, str) else None
    if DEAD_LETTER_REASON not in properties:
        return lineage
    following = (lineage or Lineage(id=native_id)).dead_letter()
    returned = 0 if sent_ms is None else sent_ms // 1000 - int(_SINCE.timestamp())
    return replace(following, generation=min(max(following.generation, returned), _MAX_GENERATION))


def _is_ours(name: str) -> bool:
    return name.startswith(LINEAGE) or name in _HOSTS


def _plain(value: object) -> str | bytes:
    return value if isinstance(value, (str, bytes)) else str(value)


def _millis(moment: datetime | None) -> int | None:
    return None if moment is None else int(_aware(moment).timestamp() * 1000)


def _aware(moment: datetime) -> datetime:
    """Return a time of the host as aware: it sends UTC without a zone."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
