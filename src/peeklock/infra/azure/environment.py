"""Settings of function apps, as pure functions of names that the platform completes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from peeklock.infra.settings.azure import Settings
from peeklock.queue import Queue

CONNECTION = "PEEKLOCK_SERVICEBUS"
"""Name of the connection, for the trigger and for `peeklock.platforms.servicebus.bind`'s own client."""


RESERVED = (
    "APPINSIGHTS_",
    "APPLICATIONINSIGHTS_",
    "AZURE_CLIENT_ID",
    "AZUREFUNCTIONS",
    "AZUREWEBJOBS",
    "CONTAINER_",
    "FUNCTIONS_",
    "IDENTITY_",
    "MSI_",
    "PYTHON_",
    "PYTHONPATH",
    "SCM_",
    "WEBSITE_",
    "WEBSITES_",
)
"""Beginnings of app settings, in capitals, that Functions or peeklock sets.
https://learn.microsoft.com/azure/azure-functions/functions-app-settings and
https://learn.microsoft.com/azure/app-service/reference-app-settings"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceNames:
    """Names and addresses of the resources that an app uses; no key and no secret."""

    namespace: str
    dead_letters: str
    store: str
    """The store's address, `tables://account/table`."""
    host_account: str
    client_id: str
    """Client id of the consumer's identity."""
    telemetry: str
    """Connection string of Application Insights; it grants no access, since local authentication is disabled."""


def address(namespace: str, entity: str) -> str:
    """Return a queue's address for `peeklock.send`."""
    return f"sb://{namespace}.servicebus.windows.net/{entity}"


def store_address(account: str, table: str) -> str:
    """Return the store's address, the value of PEEKLOCK_STORE."""
    return f"tables://{account}/{table}"


def environment(
    queue: Queue,
    settings: Settings,
    names: ResourceNames,
    *,
    uses: Mapping[str, str],
    variables: Mapping[str, str],
    host_id: str,
    function: str,
    consuming: bool,
) -> dict[str, str]:
    """Return all settings of the app. `uses`: addresses of the queues that it sends to, by variable; `variables`: the handler's own
    values, and references to its secrets.

    Connections by identity: https://learn.microsoft.com/azure/azure-functions/functions-reference#configure-an-identity-based-connection.
    AZURE_CLIENT_ID is for the handler's own clients: `DefaultAzureCredential` takes the identity that it names, and an app without
    an identity of its own has no other.
    https://learn.microsoft.com/python/api/azure-identity/azure.identity.defaultazurecredential
    """
    identity = {"__credential": "managedidentity", "__clientId": names.client_id}
    settings_by_name = {
        **variables,
        "AZURE_CLIENT_ID": names.client_id,
        "AzureFunctionsWebHost__hostid": host_id,
        "AzureWebJobsStorage__accountName": names.host_account,
        **{f"AzureWebJobsStorage{name}": value for name, value in identity.items()},
        "APPLICATIONINSIGHTS_CONNECTION_STRING": names.telemetry,
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": f"ClientId={names.client_id};Authorization=AAD",
        f"{CONNECTION}__fullyQualifiedNamespace": f"{names.namespace}.servicebus.windows.net",
        **{f"{CONNECTION}{name}": value for name, value in identity.items()},
        "PYTHON_THREADPOOL_THREAD_COUNT": str(settings.calls),  # else a call may wait for a thread while its lock runs
        "PEEKLOCK_STORE": names.store,
        "PEEKLOCK_TABLES__clientId": names.client_id,
        **uses,
        queue.variable("URL"): address(names.namespace, queue.name),
        queue.variable("DEAD_LETTER"): address(names.namespace, names.dead_letters),
        queue.variable("FINGERPRINT"): queue.fingerprint,
        queue.variable("LOCK"): str(settings.limit),
    }
    return settings_by_name if consuming else settings_by_name | {f"AzureWebJobs.{function}.Disabled": "true"}


def for_producers(queue: Queue, namespace: str) -> dict[str, str]:
    """Return the environment of a program that sends to the queue. It also needs an identity with `Consumer.grant_send`."""
    return {
        f"{CONNECTION}__fullyQualifiedNamespace": f"{namespace}.servicebus.windows.net",
        queue.variable("URL"): address(namespace, queue.name),
    }
