"""Sending to Pub/Sub with Google's own client."""

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
"""How long the publications of one call may take, all together. The SDK would go on with each for ten minutes, and
publish what has long been sent again."""

REQUEST = 512
"""Bytes of a request beside its message: the topic's name, tags and lengths."""

CONTENT_TYPE = "content-type"
TAGS = 8
"""Bytes of an attribute's tags and lengths in the request."""

_ARGUMENTS = frozenset({"topic", "data", "ordering_key", "retry", "timeout", "self"})
"""Names that `publish` takes for its own parameters, since attributes are keywords to it."""

BINARY = "peeklock-base64."
"""Before the name of an attribute whose value is bytes: Pub/Sub's are text only."""


@per_process
def client(ordered: bool) -> Any:  # noqa: FBT001 - the cache's key
    """The process's publisher; the SDK finds an emulator by `PUBSUB_EMULATOR_HOST`. Raises ConfigError."""
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
    """The SDK's own, for PUBLISH_SECONDS. With ordering keys the SDK sets its end aside, and goes on in its own thread.
    https://cloud.google.com/pubsub/docs/retry-requests"""
    from google.api_core import exceptions as e
    from google.api_core.retry import Retry, if_exception_type

    passing = (
        e.Aborted,
        e.Cancelled,
        e.DeadlineExceeded,
        e.InternalServerError,
        e.ResourceExhausted,
        e.ServiceUnavailable,
        e.Unknown,
    )
    return Retry(if_exception_type(*passing), initial=0.1, maximum=1.0, multiplier=2, timeout=PUBLISH_SECONDS)


class PubSubSender:
    """Publishes to one topic, and answers when each publication is confirmed."""

    def __init__(self, topic: str) -> None:
        self.topic = topic

    limit = PUBLISH_BYTES

    @property
    def place(self) -> str:
        """Which topic it is."""
        return self.topic

    def accepts(self, outgoing: OutgoingMessage, /) -> bool:
        """Whether Pub/Sub takes a message in this form."""
        attributes = pack(outgoing)
        fits = len(attributes) <= ATTRIBUTES and self.weigh(outgoing) <= self.limit
        return fits and bool(outgoing.body or attributes) and all(map(_is_valid, attributes, attributes.values()))

    def weigh(self, outgoing: OutgoingMessage, /) -> int:
        texts = [text for delivery in pack(outgoing).items() for text in delivery]
        return len(outgoing.body) + sum(size_of(text) + TAGS for text in [*texts, outgoing.group or ""]) + REQUEST

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
        end = time.monotonic() + PUBLISH_SECONDS
        futures = [self._publish(outgoing) for outgoing in outgoing_messages]
        return [
            future if isinstance(future, SendError) else self._confirm(future, p, end)
            for future, p in zip(futures, outgoing_messages, strict=True)
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
        except Exception as exc:  # noqa: BLE001 - whatever the SDK raises: not known to be there
            return self._failure(exc)

    def _confirm(self, future: Any, outgoing: OutgoingMessage, end: float) -> SendError | None:
        try:
            future.result(timeout=max(end - time.monotonic(), 0.0))
        except Exception as exc:  # noqa: BLE001 - as above
            if outgoing.group is not None:
                with suppress(RuntimeError):  # of a key that is not paused, after a time-out
                    client(True).resume_publish(self.topic, outgoing.group)  # else the SDK refuses the key from now on
            return self._failure(exc)
        return None

    def _failure(self, exc: Exception) -> SendError:
        return because(SendError(f"{self.topic}: {type(exc).__name__}: {exc}"), exc)


def refusal(outgoing: OutgoingMessage, *, fifo: bool = False) -> SendError | None:
    """Why Pub/Sub would refuse a message, as far as that follows from its delay and its group. It takes messages without ordering keys,
    `fifo` or not."""
    del fifo
    if outgoing.delay:
        return SendError("Pub/Sub delays no message; send it to a Cloud Tasks queue, or without delay=")
    if size_of(outgoing.group or "") > ORDERING_KEY:
        return SendError(f"group= is an ordering key, which Pub/Sub takes up to {ORDERING_KEY} bytes of")
    return None


def _is_valid(name: str, value: str) -> bool:
    """Whether Pub/Sub takes an attribute, and its client the call."""
    if not (is_text(name) and is_text(value)) or name in _ARGUMENTS or name.startswith("goog"):
        return False
    return 0 < size_of(name) <= ATTRIBUTE_NAME and size_of(value) <= ATTRIBUTE_VALUE


def pack(outgoing: OutgoingMessage) -> dict[str, str]:
    """Attributes as Pub/Sub takes them. An id that is too long for one is in the body, where the message is folded."""
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
    attributes: dict[str, str | bytes] = {}
    for name, value in carried.items():
        if name.startswith(BINARY):
            with suppress(ValueError):  # whoever wrote it, it was not `pack`, and the message is good all the same
                attributes[name.removeprefix(BINARY)] = base64.b64decode(value, validate=True)
        elif not name.startswith(LINEAGE):
            attributes[name] = value
    return attributes


def from_url(url: str) -> PubSubSender:
    """`pubsub://projects/P/topics/T`. A topic without a subscription keeps nothing: dead letters need one."""
    parts = urlsplit(url)
    topic = (parts.netloc + parts.path).strip("/")
    words = topic.split("/")
    if words[::2] != ["projects", "topics"] or not all(words):
        raise ConfigError(f"{shown(url)!r} is no Pub/Sub address, such as pubsub://projects/PROJECT/topics/TOPIC")
    return PubSubSender(topic)
