"""The client of Service Bus, and the link over which one thread at a time sends."""

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
"""The app setting with a connection string; or, with `__fullyQualifiedNamespace` after its name, a namespace to which
the function's identity is admitted, and with `__clientId` which of several identities. The same setting serves the
trigger."""

TRY_SECONDS = 5.0
"""How long one try may take. A dead letter that is not sent keeps its message, so it is better to give up within the lock
than to go on as long as the SDK would."""

RESENDS = 1
"""Tries after the first: one, for a link that the service has closed because it was idle."""

HELD_SECONDS = 15.0
"""How long a thread waits for a link that another one uses: longer than all tries of a sending take. Then the other one is
left alone with it, and a new link is opened: to look up a name, for one, may take longer than any time-out."""

Client = Callable[[], Any]


@per_process
def client(namespace: str) -> Any:
    """The process's client. Raises ConfigError where the SDK is missing, or the connection string is none."""
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
    """A socket that never waits without an end, as the SDK would have it wait for the handshakes of TLS and of SASL."""

    def settimeout(self, value: float | None, /) -> None:
        super().settimeout(TRY_SECONDS if value is None else value)


def tls() -> ssl.SSLContext:
    """With the certificates that the SDK itself would use."""
    import certifi

    context = ssl.create_default_context(cafile=certifi.where())
    context.sslsocket_class = _Socket
    return context


class Link:
    """A link to a queue or topic. Whoever holds `lock` may use it, and closes it after a failure."""

    def __init__(self, entity: str, client: Client) -> None:
        """`client`: gives a `ServiceBusClient`."""
        self.entity = entity
        self.client = client
        self.lock = threading.Lock()
        self._sender: Any = None

    def open(self) -> Any:
        """The SDK's sender; it connects when it is first used."""
        if self._sender is None:
            self._sender = self.client().get_queue_sender(self.entity)
        return self._sender

    @property
    def largest(self) -> int:
        """Bytes of a message that the service takes on this link, as it said when the link was opened; 0 where it did not.

        The SDK's only public answer is the size of a batch, which on Premium is less."""
        return int(getattr(self._sender, "_max_message_size_on_link", 0))

    def close(self) -> None:
        sender, self._sender = self._sender, None
        with suppress(Exception):  # it is given up already
            sender.close()
