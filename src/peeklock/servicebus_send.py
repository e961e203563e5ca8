"""Sending to Service Bus with its own client."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from peeklock.errors import ConfigError, SendError
from peeklock.message import TRAIL
from peeklock.parcel import Parcel
from peeklock.registry import missing

CONNECTION = "PEEKLOCK_SERVICEBUS"
"""The app setting with a connection string; or, with `__fullyQualifiedNamespace` after its name, a namespace to which
the function's identity is admitted. The same setting serves the trigger."""

Client = Callable[[], Any]


@functools.cache
def client(namespace: str) -> Any:
    """The process's client. Raises ConfigError where the SDK is missing."""
    try:
        from azure.servicebus import ServiceBusClient

        text = os.environ.get(CONNECTION)
        if text:
            return ServiceBusClient.from_connection_string(text)
        from azure.identity import DefaultAzureCredential
    except ImportError as exc:
        raise missing(exc) from exc
    host = os.environ.get(f"{CONNECTION}__fullyQualifiedNamespace") or namespace
    return ServiceBusClient(host, DefaultAzureCredential())


class ServiceBusSender:
    """Sends to one queue or topic, in as few batches as their size allows. `client`: gives a `ServiceBusClient`."""

    def __init__(self, entity: str, client: Client) -> None:
        self.entity = entity
        self.client = client

    def send(self, parcels: Sequence[Parcel], /) -> Sequence[SendError | None]:
        refusals: list[SendError | None] = [None] * len(parcels)
        try:
            with self.client().get_queue_sender(self.entity) as sender:
                for numbers, batch in self._batches(sender, parcels, refusals):
                    failure = self._attempt(sender, batch)
                    for n in numbers:
                        refusals[n] = failure
        except Exception as exc:
            raise self._failure(exc) from exc
        return refusals

    def _batches(
        self, sender: Any, parcels: Sequence[Parcel], refusals: list[SendError | None]
    ) -> Iterator[tuple[list[int], Any]]:
        """Fill batches until one is full. A message that fits into no batch is refused by itself."""
        numbers: list[int] = []
        batch = sender.create_message_batch()
        for n, parcel in enumerate(parcels):
            message = message_of(parcel)
            try:
                batch.add_message(message)
            except ValueError:  # MessageSizeExceededError is one: the batch is full, or the message too large
                if numbers:
                    yield numbers, batch
                numbers, batch = [], sender.create_message_batch()
                try:
                    batch.add_message(message)
                except ValueError as exc:
                    refusals[n] = self._failure(exc)
                    continue
            numbers.append(n)
        if numbers:
            yield numbers, batch

    def _attempt(self, sender: Any, batch: Any) -> SendError | None:
        try:
            sender.send_messages(batch)
        except Exception as exc:  # noqa: BLE001 - as in `send`, for this batch alone
            return self._failure(exc)
        return None

    def _failure(self, exc: Exception) -> SendError:
        failure = SendError(f"{self.entity}: {type(exc).__name__}: {exc}")
        failure.__cause__ = exc
        return failure


def message_of(parcel: Parcel) -> Any:
    """A parcel as the SDK's message."""
    from azure.servicebus import ServiceBusMessage

    properties: dict[Any, Any] = {**parcel.attributes, TRAIL: parcel.trail.dump()}
    delayed = datetime.now(UTC) + parcel.delay if parcel.delay else None
    return ServiceBusMessage(
        parcel.body,
        message_id=parcel.id,
        session_id=parcel.group,
        content_type=parcel.content_type,
        scheduled_enqueue_time_utc=delayed,
        application_properties=properties,
    )


def from_url(url: str) -> ServiceBusSender:
    """`sb://contoso.servicebus.windows.net/orders`: the namespace, and a queue or topic in it."""
    parts = urlsplit(url)
    entity = parts.path.strip("/")
    if not parts.netloc or not entity:
        raise ConfigError(f"{url!r} is no Service Bus address, such as sb://contoso.servicebus.windows.net/orders")
    return ServiceBusSender(entity, functools.partial(client, parts.netloc))
