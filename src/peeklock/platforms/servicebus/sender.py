"""Sending to Service Bus."""

from __future__ import annotations

import functools
import os
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from peeklock.errors import ConfigError, SendError, because
from peeklock.outgoing import OutgoingMessage
from peeklock.platforms.servicebus.client import HELD_SECONDS, Client, Link, client
from peeklock.platforms.servicebus.message import (
    encoded_size,
    id_of,
    is_encodable,
    message_of,
    message_size,
    properties_size,
)
from peeklock.quotas.azure import MESSAGE_BYTES as MAX_MESSAGE
from peeklock.quotas.azure import PROPERTIES_BYTES as MAX_PROPERTIES
from peeklock.quotas.azure import PROPERTY_BYTES as MAX_PROPERTY
from peeklock.redaction import shown
from peeklock.sending.fitting import prepare

QUOTAS = "https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas"

_NO_SESSION = "SessionId was not set"
"""Part of the error of a queue with sessions for a message without one.
https://learn.microsoft.com/azure/service-bus-messaging/message-sessions"""

_senders: weakref.WeakSet[ServiceBusSender] = weakref.WeakSet()


def _forget_links() -> None:
    for sender in list(_senders):
        sender.forget()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=_forget_links)


class ServiceBusSender:
    """Sends to one queue or topic, in as few batches as size and sessions allow.

    The link stays open, since opening one takes a hundred times as long as a send. One thread at a time uses it, and a new one is
    opened after a failure and in a forked child.

    - `client`: returns a `ServiceBusClient`.
    - `limit`: largest size of a message in bytes; lowered when the queue says that it takes less.
    """

    def __init__(self, entity: str, client: Client) -> None:
        self.entity = entity
        self.client = client
        self.limit = MAX_MESSAGE
        self.forget()
        _senders.add(self)

    @property
    def place(self) -> str:
        """Name of the queue or topic. The namespace is the same in the whole process, as the client is."""
        return self.entity.lower()

    def forget(self) -> None:
        """Open a new link at the next send. A forked child must do so, since it cannot use its parent's connection, and a thread of
        the parent may have held the lock."""
        self._link = Link(self.entity, self.client)

    def accepts(self, outgoing: OutgoingMessage, /) -> bool:
        """Return whether the queue takes a message in this form, as far as its limits are known."""
        properties = properties_size(outgoing)
        sizes = [encoded_size(value) for value in outgoing.attributes.values()]
        fits = properties <= MAX_PROPERTIES and all(size <= MAX_PROPERTY for size in sizes)
        return fits and is_encodable(outgoing) and self.weigh(outgoing) <= self.limit

    def weigh(self, outgoing: OutgoingMessage, /) -> int:
        return message_size(outgoing, id_of(outgoing))

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
        prepared = [prepare(outgoing, self) for outgoing in outgoing_messages]
        refusals = [self._failure(result) if isinstance(result, SendError) else None for result in prepared]
        link = self._hold()
        try:
            for numbers, load in self._prepare(link, prepared, refusals):
                failure = self._attempt(link, load)
                for n in numbers:
                    refusals[n] = failure
        finally:
            link.lock.release()
        return refusals

    def _hold(self) -> Link:
        """Lock the link and return it. One that another thread does not release in time is replaced."""
        link = self._link
        while not link.lock.acquire(timeout=HELD_SECONDS):
            if link is self._link:
                self.forget()
            link = self._link
        return link

    def _prepare(
        self, link: Link, outgoing_messages: Sequence[OutgoingMessage | SendError], refusals: list[SendError | None]
    ) -> Sequence[tuple[list[int], Any]]:
        try:
            return list(self._loads(link.open(), outgoing_messages, refusals))
        except ConfigError:
            raise
        except Exception as exc:
            link.close()
            raise self._failure(exc) from exc

    def _loads(
        self, link: Any, outgoing_messages: Sequence[OutgoingMessage | SendError], refusals: list[SendError | None]
    ) -> Iterator[tuple[list[int], Any]]:
        """Return the batches to send, with the numbers of their messages. A batch must not mix sessions."""
        sessions: dict[str | None, list[tuple[int, Any]]] = {}
        for n, outgoing in enumerate(outgoing_messages):
            if isinstance(outgoing, SendError):
                continue
            try:
                sessions.setdefault(outgoing.group, []).append((n, message_of(outgoing)))
            except (TypeError, ValueError, OverflowError) as exc:
                refusals[n] = self._failure(exc)
        for messages in sessions.values():
            yield from _batches(link, messages)

    def _attempt(self, link: Link, load: Any) -> SendError | None:
        try:
            link.open().send_messages(load)
        except Exception as exc:  # noqa: BLE001 - any exception of the SDK fails this batch only
            self._learn(exc, link, load)
            link.close()
            return self._failure(exc)
        return None

    def _learn(self, exc: Exception, link: Link, load: Any) -> None:
        """Lower the limit to the one that the link reports, or else to one byte below the refused message."""
        from azure.servicebus.exceptions import MessageSizeExceededError

        size = _size_of(load)
        if isinstance(exc, MessageSizeExceededError) and size:
            self.limit = min(self.limit, link.largest or size - 1, size - 1)

    def _failure(self, exc: Exception) -> SendError:
        if isinstance(exc, SendError):
            return SendError(f"{self.entity}: {exc}")
        return because(SendError(f"{self.entity}: {type(exc).__name__}: {exc}{_fix(exc)}"), exc)


def _fix(exc: Exception) -> str:
    """Return how to fix a refusal, where its own text does not say so."""
    if _NO_SESSION in str(exc):
        return "; give group=, or --group, within which the order is kept"
    return f"; what a message may hold: {QUOTAS}" if isinstance(exc, ValueError) else ""


def _batches(link: Any, messages: Sequence[tuple[int, Any]]) -> Iterator[tuple[list[int], Any]]:
    """Return batches filled one after the other. A message that does not fit into an empty batch goes out on its own, since a queue
    may take larger messages than batches."""
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


def _size_of(load: Any) -> int:
    """Return the size of a message that goes out on its own; 0 for a batch, which was filled up to its own limit."""
    from azure.servicebus import ServiceBusMessage, ServiceBusMessageBatch

    if not isinstance(load, ServiceBusMessage):
        return 0
    batch = ServiceBusMessageBatch(max_size_in_bytes=2 * MAX_MESSAGE)
    batch.add_message(load)
    return batch.size_in_bytes


def from_url(url: str, connect: Callable[[str], Any] = client) -> ServiceBusSender:
    """Return the sender of `sb://contoso.servicebus.windows.net/orders`, a namespace and a queue or topic in it. Raises ConfigError
    for another address.

    `connect`: returns the namespace's `ServiceBusClient`; by default, the process's own.
    """
    parts = urlsplit(url)
    entity = parts.path.strip("/")
    if not parts.netloc or not entity:
        raise ConfigError(
            f"{shown(url)!r} is no Service Bus address, such as sb://contoso.servicebus.windows.net/orders"
        )
    return ServiceBusSender(entity, functools.partial(connect, parts.netloc))
