"""Message limits of the namespace's tier.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cloudqueues.servicebus.amqp.decode import whole
from cloudqueues.servicebus.errors import ARGUMENT, INTERNAL, TOO_LARGE, Refused
from cloudqueues.servicebus.message import Content

KIB = 1024
LONGEST_ID = 128
"""Characters of a message id, a session id and a partition key."""
LARGEST_PROPERTY = 32 * KIB
"""Bytes of one application property."""
LARGEST_HEADER = 64 * KIB
"""Bytes of all properties, system properties included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Size limits of a tier."""

    message: int
    """Bytes of an encoded message. A session's state has the same limit, since a message carries it."""
    batch: int
    """Bytes of a batch. Only single messages can be large: https://github.com/Azure/azure-sdk-for-net/issues/44914"""

    def check(self, size: int, contents: Iterable[Content]) -> None:
        """Raise Refused where a batch of `size` bytes, or any of its messages, exceeds a limit."""
        if size > self.batch:
            raise Refused(TOO_LARGE, f"The batch has {size} bytes, and {self.batch} are allowed.")
        for content in contents:
            check(content)


STANDARD = Tier(message=256 * KIB, batch=256 * KIB)
PREMIUM = Tier(message=100 * KIB * KIB, batch=KIB * KIB)
TIERS = {"standard": STANDARD, "premium": PREMIUM}


def check(content: Content) -> None:
    """Raise Refused where a message exceeds any limit but that of its size."""
    _check_ids(content)
    _check_properties(content)
    header = _size(content)
    if header > LARGEST_HEADER:
        # The service's words: https://github.com/rebus-org/Rebus.AzureServiceBus/issues/35
        text = (
            f"The size quota for this stream ({LARGEST_HEADER}) has been exceeded: the properties have {header} bytes."
        )
        raise Refused(TOO_LARGE, f"A serialization error occurred while processing the message header stream. {text}")


def _check_ids(content: Content) -> None:
    """Raise Refused for an id that is too long, with the service's condition for an invalid argument. The text is ours,
    since the service's own is not documented."""
    ids = {"MessageId": content.id, "SessionId": content.session, "PartitionKey": content.partition}
    for name, value in ids.items():
        if value is not None and len(value) > LONGEST_ID:
            raise Refused(ARGUMENT, f"The {name} has {len(value)} characters, and {LONGEST_ID} are allowed.")


def _check_properties(content: Content) -> None:
    """Raise Refused for a property that is too large. The service says only the first sentence:
    https://github.com/Azure/azure-sdk-for-net/issues/15325"""
    for name, value in content.application.items():
        if len(value) > LARGEST_PROPERTY and _length(value) > LARGEST_PROPERTY:
            text = f"The property '{name}' has {_length(value)} bytes, and {LARGEST_PROPERTY} are allowed."
            raise Refused(
                INTERNAL, f"The service was unable to process the request; please retry the operation. {text}"
            )


def _length(encoded: bytes) -> int:
    """Return the bytes of a string or binary value without its constructor."""
    value = whole(encoded)
    text = value.encode() if isinstance(value, str) else value
    return len(text) if isinstance(text, bytes) else len(encoded)


def _size(content: Content) -> int:
    annotations = sum(len(name) + len(value) for name, value in content.annotations)
    application = sum(len(name.encode()) + len(value) for name, value in content.application.items())
    return annotations + application + sum(map(len, content.properties))
