"""What a message is to the SDK of Service Bus: its id, its properties with their types, the rest of its time to live."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from peeklock.message import LINEAGE, is_text
from peeklock.outgoing import OutgoingMessage, size_of
from peeklock.quotas.azure import MESSAGE_ID as MAX_ID

EXPIRES_AT = "expires_at"
"""Among a message's system properties: when it expires, as ISO 8601."""

SYSTEM = ("subject", "correlation_id", "reply_to", "reply_to_session_id", "to", "partition_key")
"""What a producer sets beside body and properties. Time to live is counted down, the session is the message's group."""

SHORTEST_LIFE = timedelta(minutes=1)
LONGEST_LIFE = timedelta(days=49)
"""A time to live is sent as milliseconds in 32 bits; what lives longer has no limit of its own."""


def message_of(outgoing: OutgoingMessage) -> Any:
    """An outgoing message as the SDK's message. Raises ValueError for what no queue would take."""
    from azure.servicebus import ServiceBusMessage

    properties: dict[Any, Any] = {
        name: _typed(value, outgoing.types.get(name, "")) for name, value in outgoing.attributes.items()
    }
    if not outgoing.bare:
        properties[LINEAGE] = outgoing.lineage.dump()
    delayed = datetime.now(UTC) + outgoing.delay if outgoing.delay else None
    return ServiceBusMessage(
        outgoing.body,
        message_id=id_of(outgoing),
        session_id=outgoing.group,
        content_type=outgoing.content_type,
        scheduled_enqueue_time_utc=delayed,
        time_to_live=None if outgoing.dead_letter else _left(outgoing, datetime.now(UTC)),
        application_properties=properties,
        **_system(outgoing),
    )


def _system(outgoing: OutgoingMessage) -> dict[str, str]:
    """System properties by the SDK's names. A partition key must be the session's: in a session it is left out."""
    names = SYSTEM if outgoing.group is None else [name for name in SYSTEM if name != "partition_key"]
    return {name: outgoing.system[name] for name in names if name in outgoing.system}


def _left(outgoing: OutgoingMessage, now: datetime) -> timedelta | None:
    """The rest of the time to live, so that a copy expires when its message would have; with enough for one delivery.

    A dead letter has none: it waits for somebody to look at it."""
    text = outgoing.system.get(EXPIRES_AT)
    if text is None:
        return None
    left = datetime.fromisoformat(text) - now - outgoing.delay
    return max(left, SHORTEST_LIFE) if left < LONGEST_LIFE else None


def _typed(value: str | bytes, kind: str) -> Any:
    """A property with the type that it came with."""
    read = _READERS.get(kind)
    try:
        return value if read is None or isinstance(value, bytes) else read(value)
    except ValueError:  # a type that another platform calls so
        return value


_READERS: dict[str, Callable[[str], Any]] = {
    "bool": lambda text: text == "True",
    "int": int,
    "float": float,
    "null": lambda _: None,
    "uuid": uuid.UUID,
    "datetime": datetime.fromisoformat,
}


def id_of(outgoing: OutgoingMessage) -> str | None:
    """The id for the queue's own duplicate detection; on a message that goes out as it came, the one that it had."""
    if outgoing.bare and outgoing.origin is not None:
        own = getattr(outgoing.origin.raw, "message_id", None)
        return own if isinstance(own, str) and own else None
    return _fitting(outgoing.id)


def _fitting(name: str) -> str:
    """The lineage keeps the id as it is; the queue's own only has to differ where ids differ."""
    return name if len(name) <= MAX_ID else f"{name[:63]}.{hashlib.sha256(name.encode()).hexdigest()}"


SMALL = 255
"""Bytes up to which a text needs two more bytes, and five beyond."""

SECTION = 3
LIST = 9
"""Bytes of a section's descriptor, and of a list or map with its size and count."""

FIXED = 10
"""Bytes of a time or a number, at most."""


def encoded_size(value: str | bytes) -> int:
    """Bytes of a text or of bytes."""
    size = len(value) if isinstance(value, bytes) else size_of(value)
    return size + (2 if size <= SMALL else 5)


def properties_size(outgoing: OutgoingMessage) -> int:
    """Bytes of the application's properties and of the system's."""
    named = {**outgoing.attributes} if outgoing.bare else {**outgoing.attributes, LINEAGE: outgoing.lineage.dump()}
    own = sum(encoded_size(name) + encoded_size(value) for name, value in named.items())
    system = sum(map(encoded_size, outgoing.system.values()))
    return own + system + encoded_size(outgoing.group or "") + encoded_size(outgoing.content_type or "")


def message_size(outgoing: OutgoingMessage, message_id: str | None) -> int:
    """Bytes of a whole message, some more than it may need."""
    header = annotations = properties = SECTION + LIST
    body = SECTION + encoded_size(outgoing.body)
    times = 2 * FIXED + encoded_size("x-opt-scheduled-enqueue-time") if outgoing.delay else FIXED
    application = SECTION + LIST
    whole = header + annotations + properties + body + times + application
    return whole + encoded_size(message_id or "") + properties_size(outgoing)


def is_encodable(outgoing: OutgoingMessage) -> bool:
    """Whether all texts have an encoding; half a surrogate pair has none."""
    texts = [*outgoing.attributes, *outgoing.attributes.values(), outgoing.content_type or "", outgoing.group or ""]
    return all(is_text(text) for text in texts if isinstance(text, str))
