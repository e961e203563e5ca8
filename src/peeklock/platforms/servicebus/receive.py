"""From the host's objects to messages: which of the things that a trigger's argument says can be believed."""

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
"""What a producer sets beside body and properties, and the columns of a batch that have it."""

_ENDLESS = 9000
"""The first year of times by which .NET says that a message never expires."""

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
    """The messages of a trigger's argument. `entity`: the queue or subscription as Azure names it, where that is not
    `queue_name`; `subscribed`: it is a subscription. Raises EventError for anything else."""
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
    """Where an event's messages come from, and what can be believed of them."""

    queue: str
    entity: str
    subscription: str
    """The entity, where it is a subscription."""
    alone: bool
    """Whether the event is no batch, so that its metadata cannot have shifted."""
    typed: bool
    """Whether the content types are each message's own."""
    system: Sequence[str]
    """Which system properties are."""


def _check(raw: Any) -> None:
    if (
        not hasattr(raw, "get_body")
        or not hasattr(raw, "application_properties")
        or not isinstance(raw.get_body(), bytes)
    ):
        raise EventError(f"not a Service Bus message: {type(raw).__name__}; is data_type BINARY and the trigger ours?")


def _is_trusted(column: str, raws: Sequence[Any]) -> bool:
    """Whether a text column of a batch is whole. The host drops empty entries, so that what follows them is another
    message's: https://github.com/Azure/azure-functions-python-worker/issues/1122"""
    array = (getattr(raws[0], "metadata", None) or {}).get(f"{column}Array")
    return isinstance(array, list) and len(array) == len(raws)


def _sessions(raws: Sequence[Any], *, many: bool) -> list[str]:
    """The session of each. A batch is of one session, whose name may be empty and thus missing from the column."""
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
    """The producer's system properties, as far as they are certainly this message's."""
    named = {name: getattr(raw, name, None) for name in source.system}
    system = {name: text for name, text in named.items() if isinstance(text, str) and text}
    expires_at = getattr(raw, "expires_at_utc", None)
    if isinstance(expires_at, datetime) and expires_at.year < _ENDLESS:
        system[EXPIRES_AT] = _aware(expires_at).isoformat()
    return system


def _native_id(raw: Any, source: _Source) -> str:
    """The message's id; in a batch, and where it has none, what the queue itself says of it, which stays the same over
    its deliveries. The ids of a batch would not: whether their column is whole depends on who shares the batch.

    The queue's numbers start again in another queue, and in one that is made anew; with the time they are unique."""
    if source.alone and isinstance(raw.message_id, str) and raw.message_id and is_text(raw.message_id):
        return raw.message_id
    if type(raw.sequence_number) is not int:
        raise EventError("not a Service Bus message: it has neither a message id nor a sequence number")
    enqueued = _millis(raw.enqueued_time_utc)
    moment = "" if enqueued is None else f".{enqueued}"
    return f"seq-{raw.sequence_number}{moment}@{source.entity}"


def _lineage(properties: dict[str, Any], native_id: str, sent_ms: int | None) -> Lineage | None:
    """The lineage that it carries; of a message that was dead-lettered natively and put back, the next life's.

    Such a message says so, and nobody could change its lineage on the way. So the time of its return tells one return
    from another: with the next number only, the second return would be taken for the first, and complete unrun.
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
    """A time of the host, which sends it without its zone: UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
