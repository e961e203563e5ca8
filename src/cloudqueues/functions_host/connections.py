"""Connections to Service Bus: the SDK's clients, and receivers for triggers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudqueues.errors import ConfigError, missing
from cloudqueues.functions_host.locked_messages import MessageReceiver
from cloudqueues.functions_host.settings import HostOptions
from cloudqueues.functions_host.triggers import Trigger

DEAD_LETTER_SUFFIX = "/$deadletterqueue"
RETRIES = 3
BACKOFF = 0.1
"""Seconds before the client first retries one of its own operations."""


class Connections:
    """Clients by connection string: the app setting that a trigger's `connection` names, else the default."""

    def __init__(self, default: str, environ: Mapping[str, str], options: HostOptions) -> None:
        self._default = default
        self._environ = environ
        self._options = options
        self._clients: dict[str, Any] = {}

    def client(self, connection: str = "") -> Any:
        """Return the client of a connection, opened once. Raises ConfigError for an invalid connection string or a missing SDK."""
        string = self._environ.get(connection, self._default)
        if string not in self._clients:
            self._clients[string] = _client(string)
        return self._clients[string]

    @property
    def namespace(self) -> str:
        return str(self.client().fully_qualified_namespace)

    def receiver(self, trigger: Trigger) -> MessageReceiver:
        """Return a receiver that connects at its first use: to the next free session, where there are sessions."""
        from azure.servicebus import NEXT_AVAILABLE_SESSION

        options: dict[str, Any] = {"prefetch_count": self._options.prefetch}
        if trigger.sessions:
            options["session_id"] = NEXT_AVAILABLE_SESSION
        return MessageReceiver(self._receiver(trigger, options), session=trigger.sessions)

    def _receiver(self, trigger: Trigger, options: dict[str, Any]) -> Any:
        client = self.client(trigger.connection)
        if trigger.topic is not None:
            name, sub_queue = _split(trigger.subscription or "")
            return client.get_subscription_receiver(trigger.topic, name, sub_queue=sub_queue, **options)
        name, sub_queue = _split(trigger.queue or "")
        return client.get_queue_receiver(name, sub_queue=sub_queue, **options)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()


def _split(name: str) -> tuple[str, Any]:
    """Split a .NET path with a dead-letter queue into the name and sub-queue that the Python SDK takes."""
    from azure.servicebus import ServiceBusSubQueue

    if name.lower().endswith(DEAD_LETTER_SUFFIX):
        return name[: -len(DEAD_LETTER_SUFFIX)], ServiceBusSubQueue.DEAD_LETTER
    return name, None


def _client(string: str) -> Any:
    try:
        from azure.servicebus.aio import ServiceBusClient
    except ImportError as exc:
        raise missing(exc) from exc
    try:
        return ServiceBusClient.from_connection_string(string, retry_total=RETRIES, retry_backoff_factor=BACKOFF)
    except ValueError as exc:
        raise ConfigError(f"servicebus= is not a connection string of Service Bus: {exc}") from None
