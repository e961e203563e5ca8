"""Bytes of a message on the wire, as AMQP 1.0 encodes it and Service Bus counts it.

Arithmetic without the SDK, since a message is fitted where an event's time runs, and the SDK takes half a second to load.
http://docs.oasis-open.org/amqp/core/v1.0/os/amqp-core-messaging-v1.0-os.html
"""

from __future__ import annotations

from peeklock.message import LINEAGE, is_text
from peeklock.outgoing import OutgoingMessage, size_of

SMALL = 255
"""Bytes up to which a text needs two more bytes, and five beyond."""

SECTION = 3
LIST = 9
"""Bytes of a section's descriptor, and of a list or map with its size and count."""

FIXED = 10
"""Bytes of a time or a number, at most."""


def of(value: str | bytes) -> int:
    """Bytes of a text or of bytes."""
    size = len(value) if isinstance(value, bytes) else size_of(value)
    return size + (2 if size <= SMALL else 5)


def of_properties(outgoing: OutgoingMessage) -> int:
    """Bytes of the application's properties and of the system's."""
    named = {**outgoing.attributes} if outgoing.bare else {**outgoing.attributes, LINEAGE: outgoing.lineage.dump()}
    own = sum(of(name) + of(value) for name, value in named.items())
    system = sum(map(of, outgoing.system.values()))
    return own + system + of(outgoing.group or "") + of(outgoing.content_type or "")


def of_message(outgoing: OutgoingMessage, message_id: str | None) -> int:
    """Bytes of a whole message, some more than it may need."""
    header = annotations = properties = SECTION + LIST
    body = SECTION + of(outgoing.body)
    times = 2 * FIXED + of("x-opt-scheduled-enqueue-time") if outgoing.delay else FIXED
    application = SECTION + LIST
    whole = header + annotations + properties + body + times + application
    return whole + of(message_id or "") + of_properties(outgoing)


def is_encodable(outgoing: OutgoingMessage) -> bool:
    """Whether all texts have an encoding; half a surrogate pair has none."""
    texts = [*outgoing.attributes, *outgoing.attributes.values(), outgoing.content_type or "", outgoing.group or ""]
    return all(is_text(text) for text in texts if isinstance(text, str))
