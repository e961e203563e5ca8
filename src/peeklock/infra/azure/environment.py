"""An app's settings, as pure functions of names that the platform gives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from peeklock.infra.settings.azure import Settings
from peeklock.queue import Queue

CONNECTION = "PEEKLOCK_SERVICEBUS"
"""The connection's name, for the trigger and for `peeklock.platforms.servicebus.bind`'s own client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where an app finds what it needs. Names, as the platform gave them; no key and no secret."""

    namespace: str
    dead_letters: str
    store: str
    """The store's address, `tables://account/table`."""
    host_account: str
    client_id: str
    """Of the consumer's identity."""
    telemetry: str
    """Application Insights' connection string; without local authentication it admits nobody."""


def address(namespace: str, entity: str) -> str:
    """A queue's, as `peeklock.send` takes it."""
    return f"sb://{namespace}.servicebus.windows.net/{entity}"


def store_address(account: str, table: str) -> str:
    return f"tables://{account}/{table}"


def environment(
    queue: Queue,
    settings: Settings,
    places: Places,
    *,
    uses: Iterable[Queue],
    host_id: str,
    function: str,
    consuming: bool,
) -> dict[str, str]:
    """All of the app's settings. Connections by identity:
    https://learn.microsoft.com/azure/azure-functions/functions-reference#configure-an-identity-based-connection"""
    identity = {"__credential": "managedidentity", "__clientId": places.client_id}
    told = {
        "AzureFunctionsWebHost__hostid": host_id,
        "AzureWebJobsStorage__accountName": places.host_account,
        **{f"AzureWebJobsStorage{name}": value for name, value in identity.items()},
        "APPLICATIONINSIGHTS_CONNECTION_STRING": places.telemetry,
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": f"ClientId={places.client_id};Authorization=AAD",
        f"{CONNECTION}__fullyQualifiedNamespace": f"{places.namespace}.servicebus.windows.net",
        **{f"{CONNECTION}{name}": value for name, value in identity.items()},
        "PYTHON_THREADPOOL_THREAD_COUNT": str(settings.calls),  # else a call may wait for a thread while its lock runs
        "PEEKLOCK_STORE": places.store,
        "PEEKLOCK_TABLES__clientId": places.client_id,
        **{one.variable("URL"): address(places.namespace, one.name) for one in uses},
        queue.variable("URL"): address(places.namespace, queue.name),
        queue.variable("DEAD_LETTER"): address(places.namespace, places.dead_letters),
        queue.variable("FINGERPRINT"): queue.fingerprint,
        queue.variable("LOCK"): str(settings.limit),
    }
    return told if consuming else told | {f"AzureWebJobs.{function}.Disabled": "true"}


def for_producers(queue: Queue, namespace: str) -> dict[str, str]:
    """What a program that sends to the queue needs, besides an identity with `Consumer.grant_send`."""
    return {
        f"{CONNECTION}__fullyQualifiedNamespace": f"{namespace}.servicebus.windows.net",
        queue.variable("URL"): address(namespace, queue.name),
    }
