"""Client of a table in Azure Storage."""

from __future__ import annotations

import logging
import os
from typing import Any

from peeklock.azure_identity import credential
from peeklock.concurrency.per_process import per_process
from peeklock.errors import ConfigError
from peeklock.registry import missing
from peeklock.stores.parallel import CONNECTIONS

CONNECTION = "PEEKLOCK_TABLES"
"""App setting with a connection string, for accounts with keys and for Azurite. Without it, the function's own identity is
used; the setting with `__clientId` appended selects one of several identities."""

CONNECT_SECONDS = 2.0

READ_SECONDS = 3.0
"""Time-out of one try. The engine retries, and knows the deadline; the SDK would retry for minutes. The service answers in
milliseconds, and gives up a single entity's operation after 2 seconds:
https://learn.microsoft.com/rest/api/storageservices/setting-timeouts-for-table-service-operations"""


@per_process
def client(account: str, table: str) -> Any:
    """Return the process's client of a table. Raises ConfigError where an SDK or a valid connection string is missing."""
    try:
        from azure.data.tables import TableClient

        text = os.environ.get(CONNECTION)
        identity: Any = None if text else credential(CONNECTION)
    except ImportError as exc:
        raise missing(exc, "tables") from exc
    if not text:
        return TableClient(f"https://{account}.table.core.windows.net", table, credential=identity, **settings())
    try:
        return TableClient.from_connection_string(text, table, **settings())
    except ValueError:
        raise ConfigError(
            f"{CONNECTION} is not a connection string of a storage account, such as"
            " DefaultEndpointsProtocol=https;AccountName=NAME;AccountKey=KEY;EndpointSuffix=core.windows.net"
        ) from None


def settings() -> dict[str, Any]:
    """Return keyword arguments of an SDK client: a bounded connection pool, short time-outs, no retries, and no log records per
    request, since at INFO, which a function app passes on, the SDK logs headers."""
    import requests
    from azure.core.pipeline.transport import RequestsTransport
    from requests.adapters import HTTPAdapter

    session = requests.Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS, pool_block=True))
    quiet = logging.getLogger(__name__)
    quiet.setLevel(logging.WARNING)
    transport = RequestsTransport(session=session, connection_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS)
    return {"transport": transport, "retry_total": 0, "logger": quiet, "logging_enable": False}
