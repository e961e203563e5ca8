"""Sending to Pub/Sub."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from peeklock.concurrency.per_process import per_process
from peeklock.errors import ConfigError, SendError, because
from peeklock.message import LINEAGE, is_text
from peeklock.outgoing import OutgoingMessage, size_of
from peeklock.quotas.google import ATTRIBUTE_NAME, ATTRIBUTE_VALUE, ATTRIBUTES, ORDERING_KEY, PUBLISH_BYTES
from peeklock.redaction import shown
from peeklock.registry import missing
from peeklock.sending.fitting import FORM, prepare

PUBLISH_SECONDS = 10.0
"""Time limit of one call's publications together. The SDK would retry each for ten minutes, and publish messages that were
sent again long ago."""

REQUEST = 512
"""Bytes of a request beside its message: the topic's name, protobuf tags and lengths."""

CONTENT_TYPE = "content-type"
ATTRIBUTE_OVERHEAD = 8
"""Bytes of an attribute's protobuf tags and lengths in the request."""

_ARGUMENTS = frozenset({"topic", "data", "ordering_key", "retry", "timeout", "self"})
"""Parameters of `publish`, which no attribute can be named, since attributes are passed as keywords."""

BINARY = "peeklock-base64."
"""Prefix of the name of an attribute whose value is bytes, since Pub/Sub's are text only."""


@per_process
def client(ordered: bool) -> Any:  # noqa: FBT001 - the cache's key
    """Return the process's publisher, of the emulator that `PUBSUB_EMULATOR_HOST` names, if any. Raises ConfigError where the SDK is
    missing."""
    try:
        from google.cloud import pubsub_v1  # type: ignore[attr-defined,unused-ignore] # it has no type information
    except ImportError as exc:
        raise missing(exc) from exc
    return pubsub_v1.PublisherClient(
        publisher_options=pubsub_v1.types.PublisherOptions(
            enable_message_ordering=ordered, retry=_retry(), timeout=PUBLISH_SECONDS
        ),
        batch_settings=pubsub_v1.types.BatchSettings(max_latency=0.005),
    )


def _retry() -> Any:
    """Return the SDK's own retry policy, limited to PUBLISH_SECONDS. With ordering keys the SDK ignores the limit, and retries in
    its own thread.
    https://cloud.google.com/pubsub/docs/retry-requests"""
    from google.api_core import exceptions as e
    from google.api_core.retry import Retry, if_exception_type

    transient = (
        e.Aborted,
        e.Cancelled,
        e.DeadlineExceeded,
        e.InternalServerError,
        e.ResourceExhausted,
        e.ServiceUnavailable,
        e.Unknown,
    )
    return Retry(if_exception_type(*transient), initial=0.1, maximum=1.0, multiplier=2, timeout=PUBLISH_SECONDS)


class PubSubSender:
    """Publishes to one topic, and returns when each publication is confirmed."""

    def __init__(self, topic: str) -> None:
        self.topic = topic

    limit = PUBLISH_BYTES

    @property
    def place(self) -> str:
        """Path of the topic."""
        return self.topic

    def accepts(self, outgoing: OutgoingMessage, /) -> bool:
        """Return whether Pub/Sub takes a message in this form."""
        attributes = pack(outgoing)
        fits = len(attributes) <= ATTRIBUTES and self.weigh(outgoing) <= self.limit
        return fits and bool(outgoing.body or attributes) and all(map(_is_valid, attributes, attributes.values()))

    def weigh(self, outgoing: OutgoingMessage, /) -> int:
        texts = [text for attribute in pack(outgoing).items() for text in attribute]
        return (
            len(outgoing.body)
            + sum(size_of(text) + ATTRIBUTE_OVERHEAD for text in [*texts, outgoing.group or ""])
            + REQUEST
        )

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
        end = time.monotonic() + PUBLISH_SECONDS
        futures = [self._publish(outgoing) for outgoing in outgoing_messages]
        return [
            future if isinstance(future, SendError) else self._confirm(future, outgoing, end)
            for future, outgoing in zip(futures, outgoing_messages, strict=True)
        ]

    def _publish(self, outgoing: OutgoingMessage) -> Any:
        prepared = refusal(outgoing) or prepare(outgoing, self)
        if isinstance(prepared, SendError):
            return SendError(f"{self.topic}: {prepared}")
        try:
            publisher = client(prepared.group is not None)
            return publisher.publish(self.topic, prepared.body, ordering_key=prepared.group or "", **pack(prepared))
        except ConfigError:
            raise
        except Exception as exc:  # noqa: BLE001 - any exception of the SDK: the message may or may not have been published
            return self._failure(exc)

    def _confirm(self, future: Any, outgoing: OutgoingMessage, end: float) -> SendError | None:
        try:
            future.result(timeout=max(end - time.monotonic(), 0.0))
        except Exception as exc:  # noqa: BLE001 - as above
            if outgoing.group is not None:
                with suppress(RuntimeError):  # raised for a key that is not paused, after a time-out
                    client(True).resume_publish(self.topic, outgoing.group)  # else the SDK refuses the key for ever
            return self._failure(exc)
        return None

    def _failure(self, exc: Exception) -> SendError:
        return because(SendError(f"{self.topic}: {type(exc).__name__}: {exc}"), exc)


def refusal(outgoing: OutgoingMessage, *, fifo: bool = False) -> SendError | None:
    """Return the error with which Pub/Sub would refuse a message for its delay or group; None where it would not. `fifo` is
    ignored: an ordering key is always optional."""
    del fifo
    if outgoing.delay:
        return SendError("Pub/Sub has no delay per message; send it to a Cloud Tasks queue, or without delay=")
    if size_of(outgoing.group or "") > ORDERING_KEY:
        return SendError(f"group= is an ordering key, which has {ORDERING_KEY} bytes at most on Pub/Sub")
    return None


def _is_valid(name: str, value: str) -> bool:
    """Return whether Pub/Sub takes an attribute, and its client's `publish` the name."""
    if not (is_text(name) and is_text(value)) or name in _ARGUMENTS or name.startswith("goog"):
        return False
    return 0 < size_of(name) <= ATTRIBUTE_NAME and size_of(value) <= ATTRIBUTE_VALUE


def pack(outgoing: OutgoingMessage) -> dict[str, str]:
    """Return a message's attributes for Pub/Sub. A lineage too long for an attribute is inside the body of a folded message."""
    packed = {
        (name if isinstance(value, str) else f"{BINARY}{name}"): value
        if isinstance(value, str)
        else base64.b64encode(value).decode()
        for name, value in outgoing.attributes.items()
    }
    if outgoing.content_type and not outgoing.bare:
        packed.setdefault(CONTENT_TYPE, outgoing.content_type)
    lineage = outgoing.lineage.dump()
    inside = outgoing.bare or (FORM in packed and size_of(lineage) > ATTRIBUTE_VALUE)
    return packed if inside else {**packed, LINEAGE: lineage}


def unpack(carried: Mapping[str, str]) -> dict[str, str | bytes]:
    """Return the producer's attributes from those that `pack` made."""
    attributes: dict[str, str | bytes] = {}
    for name, value in carried.items():
        if name.startswith(BINARY):
            with suppress(ValueError):  # `pack` did not write it; ignore the attribute and keep the message
                attributes[name.removeprefix(BINARY)] = base64.b64decode(value, validate=True)
        elif not name.startswith(LINEAGE):
            attributes[name] = value
    return attributes


def from_url(url: str) -> PubSubSender:
    """Return the sender of `pubsub://projects/P/topics/T`. Raises ConfigError for another address.

    A topic without a subscription keeps no messages, so a topic for dead letters needs one.
    """
    parts = urlsplit(url)
    topic = (parts.netloc + parts.path).strip("/")
    words = topic.split("/")
    if words[::2] != ["projects", "topics"] or not all(words):
        raise ConfigError(f"{shown(url)!r} is no Pub/Sub address, such as pubsub://projects/PROJECT/topics/TOPIC")
    return PubSubSender(topic)
