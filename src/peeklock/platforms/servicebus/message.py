"""Outgoing messages as the Service Bus SDK's messages, and their size on the wire.

The size is that of AMQP 1.0, as Service Bus counts it. It is computed without the SDK, which takes half a second to load, since
messages are fitted within an event's time.
http://docs.oasis-open.org/amqp/core/v1.0/os/amqp-core-messaging-v1.0-os.html
"""

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
"""System property with the time at which a message expires, as ISO 8601."""

SYSTEM = ("subject", "correlation_id", "reply_to", "reply_to_session_id", "to", "partition_key")
"""System properties that a producer sets. The time to live is counted down; the session is the message's group."""

MIN_TIME_TO_LIVE = timedelta(minutes=1)
MAX_TIME_TO_LIVE = timedelta(days=49)
"""Longest time to live that is sent, in 32 bits of milliseconds. A message that lives longer gets none."""


def message_of(outgoing: OutgoingMessage) -> Any:
    """Return an outgoing message as the SDK's message. Raises ValueError for one that no queue would take."""
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
    """Return the system properties by the SDK's names, in a session without the partition key, which must equal the session."""
    names = SYSTEM if outgoing.group is None else [name for name in SYSTEM if name != "partition_key"]
    return {name: outgoing.system[name] for name in names if name in outgoing.system}


def _left(outgoing: OutgoingMessage, now: datetime) -> timedelta | None:
    """Return the rest of the time to live, so that a copy expires when its message would have, but not before one delivery.

    Dead letters are sent without a time to live, so that they wait to be inspected.
    """
    text = outgoing.system.get(EXPIRES_AT)
    if text is None:
        return None
    left = datetime.fromisoformat(text) - now - outgoing.delay
    return max(left, MIN_TIME_TO_LIVE) if left < MAX_TIME_TO_LIVE else None


def _typed(value: str | bytes, kind: str) -> Any:
    """Return a property's value in the type that it arrived with."""
    parse = _PARSERS.get(kind)
    try:
        return value if parse is None or isinstance(value, bytes) else parse(value)
    except ValueError:  # another platform's type of the same name
        return value


_PARSERS: dict[str, Callable[[str], Any]] = {
    "bool": lambda text: text == "True",
    "int": int,
    "float": float,
    "null": lambda _: None,
    "uuid": uuid.UUID,
    "datetime": datetime.fromisoformat,
}


def id_of(outgoing: OutgoingMessage) -> str | None:
    """Return the id for the queue's duplicate detection; for a bare message, the one that it arrived with."""
    if outgoing.bare and outgoing.origin is not None:
        own = getattr(outgoing.origin.raw, "message_id", None)
        return own if isinstance(own, str) and own else None
    return _shortened(outgoing.id)


def _shortened(name: str) -> str:
    """Return an id that Service Bus takes, different for different ids. The lineage has the whole id."""
    return name if len(name) <= MAX_ID else f"{name[:63]}.{hashlib.sha256(name.encode()).hexdigest()}"


SMALL = 255
"""Bytes up to which a text takes two more bytes; a longer one takes five more."""

SECTION = 3
LIST = 9
"""Bytes of a section's descriptor, and of a list or map with its size and count."""

FIXED = 10
"""Most bytes of a time or a number."""


def encoded_size(value: str | bytes) -> int:
    """Return the encoded size of a text or bytes."""
    size = len(value) if isinstance(value, bytes) else size_of(value)
    return size + (2 if size <= SMALL else 5)


def properties_size(outgoing: OutgoingMessage) -> int:
    """Return the encoded size of the application and system properties."""
    named = {**outgoing.attributes} if outgoing.bare else {**outgoing.attributes, LINEAGE: outgoing.lineage.dump()}
    own = sum(encoded_size(name) + encoded_size(value) for name, value in named.items())
    system = sum(map(encoded_size, outgoing.system.values()))
    return own + system + encoded_size(outgoing.group or "") + encoded_size(outgoing.content_type or "")


def message_size(outgoing: OutgoingMessage, message_id: str | None) -> int:
    """Return the encoded size of a whole message, rounded up by a few bytes."""
    header = annotations = properties = SECTION + LIST
    body = SECTION + encoded_size(outgoing.body)
    times = 2 * FIXED + encoded_size("x-opt-scheduled-enqueue-time") if outgoing.delay else FIXED
    application = SECTION + LIST
    whole = header + annotations + properties + body + times + application
    return whole + encoded_size(message_id or "") + properties_size(outgoing)


def is_encodable(outgoing: OutgoingMessage) -> bool:
    """Return whether all texts can be encoded; half a surrogate pair cannot."""
    texts = [*outgoing.attributes, *outgoing.attributes.values(), outgoing.content_type or "", outgoing.group or ""]
    return all(is_text(text) for text in texts if isinstance(text, str))
