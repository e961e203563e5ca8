"""From the host's objects to messages: which of the things that a trigger's argument says can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from peeklock.errors import EventError
from peeklock.message import TRAIL, Message, Trail

LETTERED = "DeadLetterReason"
_HOSTS = frozenset({LETTERED, "DeadLetterErrorDescription"})
# https://learn.microsoft.com/azure/service-bus-messaging/service-bus-dead-letter-queues

_SINCE = datetime(2020, 1, 1, tzinfo=UTC)
_MAX_GENERATION = 2**31 - 2
"""A trail's numbers are below 2**31, and a letter adds 1."""


def receive(event: Any, queue_name: str, *, sessions: bool = False) -> list[Message]:
    """The messages of a trigger's argument. Raises EventError for anything else."""
    many = isinstance(event, list)
    raws = event if many else [event]
    if not raws:
        raise EventError("not a Service Bus event: the batch is empty")
    for raw in raws:
        _check(raw)
    session_ids = _sessions(raws, many=many) if sessions else [None] * len(raws)
    whole = not many or _is_trusted("ContentType", raws)
    return [
        _message(raw, queue_name, alone=not many, group=group, typed=whole)
        for raw, group in zip(raws, session_ids, strict=True)
    ]


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


def _message(raw: Any, queue_name: str, *, alone: bool, group: str | None, typed: bool) -> Message:
    properties = raw.application_properties if isinstance(raw.application_properties, dict) else {}
    native_id = _native_id(raw, alone=alone)
    sent_ms = _millis(raw.enqueued_time_utc)
    trail = _trail(properties, native_id, sent_ms)
    delivery = raw.delivery_count if type(raw.delivery_count) is int and raw.delivery_count > 0 else 1
    return Message(
        id=trail.id if trail else native_id,
        body=raw.get_body(),
        queue=queue_name,
        delivery=delivery,
        attempt=delivery + (trail.attempts if trail else 0),
        group=group,
        sent_ms=sent_ms,
        attributes={name: _plain(value) for name, value in properties.items() if not _is_ours(name)},
        content_type=raw.content_type if typed and isinstance(raw.content_type, str) and raw.content_type else None,
        trail=trail,
        native_id=native_id,
        raw=raw,
    )


def _native_id(raw: Any, *, alone: bool) -> str:
    """The message's id; in a batch, and where it has none, the queue's own number of it, which stays the same over its
    deliveries. The ids of a batch would not: whether their column is whole depends on who shares the batch."""
    if alone and isinstance(raw.message_id, str) and raw.message_id:
        return raw.message_id
    if type(raw.sequence_number) is not int:
        raise EventError("not a Service Bus message: it has neither a message id nor a sequence number")
    return f"seq-{raw.sequence_number}"


def _trail(properties: dict[str, Any], native_id: str, sent_ms: int | None) -> Trail | None:
    """The trail that it carries; of a message that was dead-lettered natively and put back, the next life's.

    Such a message says so, and nobody could change its trail on the way. So the time of its return tells one return
    from another: with the next number only, the second return would be taken for the first, and complete unrun.
    """
    text = properties.get(TRAIL)
    trail = Trail.load(text) if isinstance(text, str) else None
    if LETTERED not in properties:
        return trail
    following = (trail or Trail(id=native_id)).letter()
    returned = 0 if sent_ms is None else sent_ms // 1000 - int(_SINCE.timestamp())
    return replace(following, generation=min(max(following.generation, returned), _MAX_GENERATION))


def _is_ours(name: str) -> bool:
    return name.startswith(TRAIL) or name in _HOSTS


def _plain(value: object) -> str | bytes:
    return value if isinstance(value, (str, bytes)) else str(value)


def _millis(moment: datetime | None) -> int | None:
    """The host sends times without their zone, which is UTC."""
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1000)
