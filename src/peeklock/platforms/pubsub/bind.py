"""Pub/Sub pushing to an HTTP target under functions-framework: `charge_push = pubsub.bind(charge)`.

Pub/Sub has no delay per message: failed messages come back by the subscription's own retry policy.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Unpack

from peeklock.binding.bind import Binding, Options
from peeklock.engine.bound_consumer import Delays
from peeklock.errors import EventError
from peeklock.message import LINEAGE, Lineage, Message, is_text
from peeklock.platforms.http_push import endpoint
from peeklock.platforms.http_push.headers import producer_headers
from peeklock.platforms.pubsub.sender import from_url, refusal, unpack
from peeklock.quotas.google import ACK_DEADLINE
from peeklock.sending.fitting import FORM, unfold

HEADER = "x-goog-pubsub-"
# Prefix of the headers of an unwrapped push: https://cloud.google.com/pubsub/docs/payload-unwrapping


def bind(
    function: Callable[..., Any],
    *,
    audience: str | None = None,
    service_account: str | None = None,
    certs_url: str | None = None,
    unauthenticated: bool = False,
    **options: Unpack[Options],
) -> Callable[[Any], tuple[str, int]]:
    """Return a function for functions-framework that runs a consumer over the messages of a push subscription, wrapped or not.

    Options, answers and errors are those of `cloudtasks.bind`. Set `PEEKLOCK_<QUEUE>_LOCK` to the subscription's
    acknowledgement deadline, within which a request must be answered: 10 seconds unless it was raised. Messages with an
    ordering key keep their order.
    """
    binding = Binding(function, "pubsub", delays=Delays.NONE, longest=ACK_DEADLINE, options=options)
    return endpoint.entry(
        binding,
        receive,
        lock=None,
        audience=audience,
        service_account=service_account,
        certs_url=certs_url,
        unauthenticated=unauthenticated,
    )


def receive(request: endpoint.Request, queue_name: str) -> Message:
    """Return the message in a push request. Raises EventError for a request that is no push."""
    if request.headers.get(f"{HEADER}message-id"):
        return _unwrapped(request, queue_name)
    try:
        envelope = json.loads(request.body)
    except (ValueError, RecursionError) as exc:
        raise EventError("not a push: its body is no JSON, and the headers of an unwrapped one are missing") from exc
    inner = envelope.get("message") if isinstance(envelope, dict) else None
    if not isinstance(inner, dict):
        raise EventError("not a push: its body has no message")
    native_id = inner.get("messageId") or inner.get("message_id")
    if not isinstance(native_id, str) or not native_id or not is_text(native_id):
        raise EventError("not a push: its message has no messageId")
    attributes = inner.get("attributes")
    attempt = envelope.get("deliveryAttempt") or envelope.get("delivery_attempt")
    return _message(
        request,
        queue_name,
        native_id=native_id,
        body=_data(inner.get("data")),
        attributes=attributes if isinstance(attributes, dict) else {},
        delivery=attempt if type(attempt) is int and attempt > 0 else 1,
        group=inner.get("orderingKey") or inner.get("ordering_key"),
        published=inner.get("publishTime") or inner.get("publish_time"),
        subscription=envelope.get("subscription"),
    )


def _data(data: object) -> bytes:
    try:
        return b"" if data is None else base64.b64decode(str(data), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise EventError("not a push: its message's data is not base64") from exc


def _unwrapped(request: endpoint.Request, queue_name: str) -> Message:
    """Return the message of an unwrapped push: its metadata are headers with a prefix, its attributes headers without one."""
    headers = request.headers
    return _message(
        request,
        queue_name,
        native_id=headers[f"{HEADER}message-id"],
        body=request.body,
        attributes=producer_headers(headers),
        delivery=max(endpoint.count_of(headers.get(f"{HEADER}delivery-attempt", "")), 1),
        group=headers.get(f"{HEADER}ordering-key"),
        published=headers.get(f"{HEADER}publish-time"),
        subscription=headers.get(f"{HEADER}subscription-name"),
    )


def _message(
    request: endpoint.Request,
    queue_name: str,
    *,
    native_id: str,
    body: bytes,
    attributes: Mapping[str, Any],
    delivery: int,
    group: object,
    published: object,
    subscription: object,
) -> Message:
    texts = {str(name): str(value) for name, value in attributes.items()}
    lineage = Lineage.load(texts.get(LINEAGE, ""))
    message = Message(
        id=lineage.id if lineage else native_id,
        body=body,
        queue=queue_name,
        delivery=delivery,
        attempt=delivery + (lineage.attempts if lineage else 0),
        group=group if isinstance(group, str) and group else None,
        sent_ms=_millis(published),
        attributes=unpack(texts),
        content_type=request.headers.get("content-type") if body is request.body else None,
        lineage=lineage,
        native_id=native_id,
        subscription=_name(subscription),
        raw=request,
    )
    unfold(message, texts.get(FORM))
    return message


def _name(subscription: object) -> str:
    """Return the last part of `projects/P/subscriptions/S`; an empty text where the push does not name a subscription."""
    name = subscription.rpartition("/")[2] if isinstance(subscription, str) else ""
    return name if is_text(name) else ""


def _millis(text: object) -> int | None:
    try:
        return int(datetime.fromisoformat(str(text)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


SHAPE = 'the request of a push, {"headers": {...}, "body": ...}, or its body, {"message": ..., "subscription": ...}'

SOURCE = "subscription"


def source_of(event: Any) -> str | None:
    """Return the subscription that a sample event names; None where it names none."""
    try:
        return receive(_request(event), "").subscription or None
    except EventError:
        return None


def _request(event: Any) -> endpoint.Request:
    """Return the request of a sample event, which may be only its body. Raises EventError for anything else."""
    if isinstance(event, dict) and "headers" not in event:
        return endpoint.request_of({}, json.dumps(event).encode())
    return endpoint.sample(event)


def matches(event: object) -> bool:
    """Return whether a sample event has the shape of a push, as a request or only its body."""
    if not isinstance(event, dict):
        return False
    if isinstance(event.get("message"), dict) and "subscription" in event:
        return True
    headers = event.get("headers")
    if not isinstance(headers, dict):
        return False
    unwrapped = any(str(name).lower() == f"{HEADER}message-id" for name in headers)
    return unwrapped or '"subscription"' in str(event.get("body", ""))


def run_sample(function: Callable[..., Any], event: Any, **options: Unpack[Options]) -> object:
    """Run a sample event and return the answer to Pub/Sub. No token is required."""
    request = _request(event)
    binding = Binding(function, "pubsub", delays=Delays.NONE, longest=ACK_DEADLINE, options=options)
    return {"status": endpoint.status_of(binding.run([receive(request, binding.queue.name)], binding.lock()))}


__all__ = ["SHAPE", "SOURCE", "bind", "from_url", "matches", "receive", "refusal", "run_sample", "source_of"]
