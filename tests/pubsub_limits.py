"""Limits of Pub/Sub on what it publishes, with the service's own messages where somebody has shown them; Google's
emulator takes most of it.

The limits: https://cloud.google.com/pubsub/quotas#resource_limits, and the comments of PubsubMessage and PublishRequest in
google-cloud-pubsub; read 2026-12.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

MAX_REQUEST = 10_000_000
MAX_MESSAGES = 1000
MAX_ATTRIBUTES = 100
MAX_KEY, MAX_VALUE, MAX_ORDERING_KEY = 256, 1024, 1024
"""Bytes."""

_QUOTAS = "Refer to https://cloud.google.com/pubsub/quotas for more information."


def too_large(name: str, size: int, most: int) -> str:
    """Shown in GoogleCloudPlatform/pubsub issue 267 (request_size) and googleapis/google-cloud-java issue 4757
    (message_count)."""
    return f"The value for {name} is too large. You passed {size} in the request, but the maximum value is {most}."


EMPTY = (
    "One or more messages in the publish request is empty."
    " Each message must contain either non-empty data, or at least one attribute."
)
MIXED = (
    "In a single publish request, all messages must have no ordering key or they must all have the same ordering key."
)
"""FAILED_PRECONDITION; shown in yoshidan/google-cloud-rust issue 226."""


def request_refused(messages: Sequence[Any], size: int) -> str:
    """Why a request to publish, of so many bytes, is refused; empty where it is taken."""
    if len(messages) > MAX_MESSAGES:
        return too_large("message_count", len(messages), MAX_MESSAGES)
    if size > MAX_REQUEST:
        return too_large("request_size", size, MAX_REQUEST)
    if len({message.ordering_key for message in messages}) > 1:
        return MIXED
    refused = (message_refused(message.data, message.attributes, message.ordering_key) for message in messages)
    return next(filter(None, refused), "")


def message_refused(data: bytes, attributes: Mapping[str, str], ordering_key: str = "") -> str:
    """Why a message is refused; empty where it is taken. Its size is the request's."""
    return next(_problems(data, attributes, ordering_key), "")


def _problems(data: bytes, attributes: Mapping[str, str], ordering_key: str) -> Iterator[str]:
    if not data and not attributes:
        yield EMPTY
    if len(attributes) > MAX_ATTRIBUTES:
        yield (
            "There are too many attributes in the request."
            f" The request contains {len(attributes)} attributes, but the maximum allowed is {MAX_ATTRIBUTES}. {_QUOTAS}"
        )
    if len(ordering_key.encode()) > MAX_ORDERING_KEY:
        yield f"The ordering key is too large, of more than {MAX_ORDERING_KEY} bytes."  # nobody has shown its words
    yield from _misfits(attributes.items())


def _misfits(attributes: Iterable[tuple[str, str]]) -> Iterator[str]:
    """The words for a value: snowplow/enrich issue 485; for a key: googleapis/java-pubsub issue 2312. It is bytes that count,
    as the latter found."""
    for name, value in attributes:
        if not name or name.startswith("goog"):
            yield f"The attribute key {name!r} is reserved or empty."  # nobody has shown their words
        for what, text, most in (("key", name, MAX_KEY), ("value", value, MAX_VALUE)):
            if len(text.encode()) > most:
                yield (
                    f'The attribute "{name if what == "value" else ""}" in the request has a {what} that is too long.'
                    f" The length is {len(text.encode())} characters, but the maximum allowed is {most}. {_QUOTAS}"
                )
