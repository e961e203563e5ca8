"""Client of Service Bus, and links over which one thread at a time sends."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from peeklock.azure_identity import credential
from peeklock.concurrency.per_process import per_process
from peeklock.errors import ConfigError
from peeklock.registry import missing

CONNECTION = "PEEKLOCK_SERVICEBUS"
"""App setting with a connection string, used by the trigger as well. With an identity instead, the setting with
`__fullyQualifiedNamespace` appended names the namespace, and with `__clientId` appended selects one of several identities."""

TRY_SECONDS = 5.0
"""Time limit of one try. A message whose dead letter is not sent is not lost, so it is better to give up within the lock than to
retry as long as the SDK would."""

RESENDS = 1
"""Retries: one, for a link that the service has closed because it was idle."""

HELD_SECONDS = 15.0
"""How long a thread waits for a link that another one uses: longer than all tries of a send. After that a new link is opened
and the old one left to the other thread, which may hang: a name look-up, for one, has no time-out."""

Client = Callable[[], Any]


@per_process
def client(namespace: str) -> Any:
    """Return the process's client of a namespace. Raises ConfigError where the SDK or a valid connection string is missing."""
    try:
        from azure.servicebus import ServiceBusClient

        text = os.environ.get(CONNECTION)
        identity: Any = None if text else credential(CONNECTION)
    except ImportError as exc:
        raise missing(exc) from exc
    patience: dict[str, Any] = {"retry_total": RESENDS, "try_timeout": TRY_SECONDS, "ssl_context": tls()}
    if not text:
        host = os.environ.get(f"{CONNECTION}__fullyQualifiedNamespace") or namespace
        return ServiceBusClient(host, identity, **patience)
    try:
        return ServiceBusClient.from_connection_string(text, **patience)
    except ValueError:
        raise ConfigError(
            f"{CONNECTION} is not a connection string of Service Bus, such as"
            " Endpoint=sb://NAMESPACE.servicebus.windows.net/;SharedAccessKeyName=NAME;SharedAccessKey=KEY"
        ) from None


class _Socket(ssl.SSLSocket):
    """Socket that always has a time-out. The SDK would wait without one for the handshakes of TLS and SASL."""

    def settimeout(self, value: float | None, /) -> None:
        super().settimeout(TRY_SECONDS if value is None else value)


def tls() -> ssl.SSLContext:
    """Return an SSL context with the certificates that the SDK would use."""
    import certifi

    context = ssl.create_default_context(cafile=certifi.where())
    context.sslsocket_class = _Socket
    return context


class Link:
    """Link to a queue or topic. The holder of `lock` may use it, and closes it after a failure."""

    def __init__(self, entity: str, client: Client) -> None:
        """`client`: returns a `ServiceBusClient`."""
        self.entity = entity
        self.client = client
        self.lock = threading.Lock()
        self._sender: Any = None

    def open(self) -> Any:
        """Return the SDK's sender, which connects when it is first used."""
        if self._sender is None:
            self._sender = self.client().get_queue_sender(self.entity)
        return self._sender

    @property
    def largest(self) -> int:
        """Largest size of a message on this link in bytes, as the service said when the link was opened; 0 where it did not.

        The SDK publishes only the size of a batch, which on Premium is less.
        """
        return int(getattr(self._sender, "_max_message_size_on_link", 0))

    def close(self) -> None:
        sender, self._sender = self._sender, None
        with suppress(Exception):  # the link is unusable already
            sender.close()
