"""Sending to Service Bus with its own client."""

from __future__ import annotations

import functools
import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from peeklock.azure_identity import credential
from peeklock.errors import ConfigError, SendError, because
from peeklock.message import TRAIL
from peeklock.once import once
from peeklock.parcel import Parcel
from peeklock.registry import missing

CONNECTION = "PEEKLOCK_SERVICEBUS"
"""The app setting with a connection string; or, with `__fullyQualifiedNamespace` after its name, a namespace to which
the function's identity is admitted, and with `__clientId` which of several identities. The same setting serves the
trigger."""

MAX_ID = 128
QUOTAS = "https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas"
# Characters of a message id: see QUOTAS.

TRY_SECONDS = 5.0
"""How long one try may take. A letter that is not sent keeps its message, so it is better to give up within the lock
than to go on as long as the SDK would."""

RESENDS = 1
"""Tries after the first: one, for a link that the service has closed because it was idle."""

Client = Callable[[], Any]


@once
def client(namespace: str) -> Any:
    """The process's client. Raises ConfigError where the SDK is missing, or the connection string is none."""
    patience: dict[str, Any] = {"retry_total": RESENDS, "try_timeout": TRY_SECONDS}
    try:
        from azure.servicebus import ServiceBusClient

        text = os.environ.get(CONNECTION)
        identity = None if text else credential(CONNECTION)
    except ImportError as exc:
        raise missing(exc) from exc
    if not text:
        host = os.environ.get(f"{CONNECTION}__fullyQualifiedNamespace") or namespace
        return ServiceBusClient(host, identity, **patience)
    try:
        return ServiceBusClient.from_connection_string(text, **patience)
    except ValueError as exc:
        raise ConfigError(f"{CONNECTION} is not a connection string of Service Bus: {exc}") from None


class ServiceBusSender:
    """Sends to one queue or topic, in as few batches as size and sessions allow.

    `client`: gives a `ServiceBusClient`. The link stays open, since to open one takes a hundred times as long as to
    send; it is used by one thread at a time, and a new one is opened after a failure.
    """

    def __init__(self, entity: str, client: Client) -> None:
        self.entity = entity
        self.client = client
        self._lock = threading.Lock()
        self._link: Any = None

    def send(self, parcels: Sequence[Parcel], /) -> Sequence[SendError | None]:
        refusals: list[SendError | None] = [None] * len(parcels)
        with self._lock:
            try:
                loads = list(self._loads(self._open(), parcels, refusals))
            except ConfigError:
                raise
            except Exception as exc:
                self._close()
                raise self._failure(exc) from exc
            for numbers, load in loads:
                failure = self._attempt(load)
                for n in numbers:
                    refusals[n] = failure
        return refusals

    def _open(self) -> Any:
        if self._link is None:
            self._link = self.client().get_queue_sender(self.entity)
        return self._link

    def _close(self) -> None:
        link, self._link = self._link, None
        with suppress(Exception):  # it is given up already
            link.close()

    def _loads(
        self, link: Any, parcels: Sequence[Parcel], refusals: list[SendError | None]
    ) -> Iterator[tuple[list[int], Any]]:
        """What goes out at once: parcels of one session, since a batch must not mix them, until the batch is full."""
        sessions: dict[str | None, list[tuple[int, Any]]] = {}
        for n, parcel in enumerate(parcels):
            try:
                sessions.setdefault(parcel.group, []).append((n, message_of(parcel)))
            except (TypeError, ValueError, OverflowError) as exc:
                refusals[n] = self._failure(exc)
        for messages in sessions.values():
            yield from _batches(link, messages)

    def _attempt(self, load: Any) -> SendError | None:
        try:
            self._open().send_messages(load)
        except Exception as exc:  # noqa: BLE001 - whatever the SDK raises, for this load alone
            self._close()
            return self._failure(exc)
        return None

    def _failure(self, exc: Exception) -> SendError:
        hint = f"; what a message may hold: {QUOTAS}" if isinstance(exc, ValueError) else ""
        return because(SendError(f"{self.entity}: {type(exc).__name__}: {exc}{hint}"), exc)


def _batches(link: Any, messages: Sequence[tuple[int, Any]]) -> Iterator[tuple[list[int], Any]]:
    """Fill one batch after the other. What fits into an empty one neither goes out by itself, for a queue may take
    larger messages than batches."""
    numbers: list[int] = []
    batch = link.create_message_batch()
    for n, message in messages:
        fits = _added(batch, message)
        if not fits and numbers:
            yield numbers, batch
            numbers, batch = [], link.create_message_batch()
            fits = _added(batch, message)
        if fits:
            numbers.append(n)
        else:
            yield [n], message
    if numbers:
        yield numbers, batch


def _added(batch: Any, message: Any) -> bool:
    try:
        batch.add_message(message)
    except ValueError:  # MessageSizeExceededError is one
        return False
    return True


def message_of(parcel: Parcel) -> Any:
    """A parcel as the SDK's message. Raises ValueError for what no queue would take."""
    from azure.servicebus import ServiceBusMessage

    properties: dict[Any, Any] = {**parcel.attributes, TRAIL: parcel.trail.dump()}
    delayed = datetime.now(UTC) + parcel.delay if parcel.delay else None
    return ServiceBusMessage(
        parcel.body,
        message_id=_fitting(parcel.id),
        session_id=parcel.group,
        content_type=parcel.content_type,
        scheduled_enqueue_time_utc=delayed,
        application_properties=properties,
    )


def _fitting(name: str) -> str:
    """The trail keeps the id as it is; the queue's own only has to differ where ids differ."""
    return name if len(name) <= MAX_ID else f"{name[:63]}.{hashlib.sha256(name.encode()).hexdigest()}"


def from_url(url: str, connect: Callable[[str], Any] = client) -> ServiceBusSender:
    """`sb://contoso.servicebus.windows.net/orders`: the namespace, and a queue or topic in it. `connect`: gives the
    namespace's `ServiceBusClient`."""
    parts = urlsplit(url)
    entity = parts.path.strip("/")
    if not parts.netloc or not entity:
        raise ConfigError(f"{url!r} is no Service Bus address, such as sb://contoso.servicebus.windows.net/orders")
    return ServiceBusSender(entity, functools.partial(connect, parts.netloc))
