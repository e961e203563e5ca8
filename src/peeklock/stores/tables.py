"""A store in a table of Azure Table storage. docs/stores-tables.md says what has to exist, and what it costs."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from peeklock.errors import ConfigError, StoreError
from peeklock.once import once
from peeklock.registry import missing
from peeklock.stores.record_json import dump
from peeklock.stores.tagged import Row, TaggedStore, Write
from peeklock.stores.together import CONNECTIONS

CONNECTION = "PEEKLOCK_TABLES"
"""The app setting with a connection string, for accounts with keys and for Azurite; or, with `__clientId` after its
name, which of several identities. Without it, the function's own identity is used."""

CONNECT_SECONDS = 2.0
READ_SECONDS = 3.0
"""How long a try may take: the desk asks again, and knows how long there is time; the SDK would go on for minutes. The
service answers in milliseconds, and ends its own work on a single entity after 2 seconds:
https://learn.microsoft.com/rest/api/storageservices/setting-timeouts-for-table-service-operations"""

ROW = "record"
"""The only row of a partition. A partition a key: a partition bears 2,000 entities a second, an account 20,000.
https://learn.microsoft.com/azure/storage/tables/scalability-targets"""

MAX_KEY = 1024
"""Characters of a key that a row shows to people."""

NAMES = "an account has lower-case letters and digits, a table letters and digits, and both have three at least"
# https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model#table-names

Client = Callable[[], Any]


@once
def client(account: str, table: str) -> Any:
    """The process's client of a table. Raises ConfigError where an SDK is missing, or the connection string is none."""
    try:
        from azure.data.tables import TableClient

        text = os.environ.get(CONNECTION)
        if text:
            return TableClient.from_connection_string(text, table, **settings())
        from azure.identity import DefaultAzureCredential
    except ImportError as exc:
        raise missing(exc, "tables") from exc
    except ValueError as exc:
        raise ConfigError(f"{CONNECTION} is not a connection string of a storage account: {exc}") from None
    identity = os.environ.get(f"{CONNECTION}__clientId")
    chosen = {"managed_identity_client_id": identity} if identity else {}
    endpoint = f"https://{account}.table.core.windows.net"
    return TableClient(endpoint, table, credential=DefaultAzureCredential(**chosen), **settings())


def settings() -> dict[str, Any]:
    """For a client of the SDK: so many connections and no more, short time-outs, no second try, and nothing in the log for
    each request: at INFO, which a function app passes on, the SDK tells its headers."""
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


class Table:
    """One entity a key. Its etag is the tag. `client`: gives a `TableClient`."""

    at_once = 1

    def __init__(self, client: Client) -> None:
        self.client = client

    def read(self, keys: Sequence[str], /) -> Sequence[Row]:
        return [self._read(self.client(), key) for key in keys]

    def write(self, writes: Sequence[Write], /) -> Sequence[Row | None]:
        return [self._write(self.client(), write) for write in writes]

    def _read(self, table: Any, key: str) -> Row:
        from azure.core.exceptions import ResourceNotFoundError

        try:
            entity = table.get_entity(partition_of(key), ROW)
        except ResourceNotFoundError as exc:
            if getattr(exc, "error_code", None) == "TableNotFound":
                fix = f"az storage table create --name {table.table_name} --account-name {table.account_name}"
                raise StoreError(f"there is no table {table.table_name!r}: {fix}") from exc
            return Row()
        return Row(tag=entity.metadata["etag"], text=entity["r"])

    def _write(self, table: Any, write: Write) -> Row | None:
        from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError

        try:
            return Row(tag=_send(table, write))
        except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError):
            return None  # that the whole table is missing is found by the read which follows


def _send(table: Any, write: Write) -> Any:
    """The new etag; none after a removal, which the SDK takes for made where there was nothing to remove."""
    from azure.core import MatchConditions
    from azure.data.tables import UpdateMode

    if write.tag is None:
        return table.create_entity(entity_of(write))["etag"]
    if_same = {"etag": write.tag, "match_condition": MatchConditions.IfNotModified}
    if write.record is None:
        return table.delete_entity(partition_of(write.key), ROW, **if_same)
    return table.update_entity(entity_of(write), mode=UpdateMode.REPLACE, **if_same)["etag"]


def entity_of(write: Write) -> dict[str, Any]:
    """The row of a record. `r` alone is read again; the others are for people and for the purge."""
    assert write.record is not None, "a removal writes no row"
    return {
        "PartitionKey": partition_of(write.key),
        "RowKey": ROW,
        "key": write.key[:MAX_KEY],
        "r": dump(write.record),
        "expires": write.record.expires_at,
    }


def partition_of(key: str) -> str:
    """A key of any length and script as one that the service allows."""
    return hashlib.sha256(key.encode()).hexdigest()


def from_url(url: str, connect: Callable[[str, str], Any] = client) -> TaggedStore:
    """`tables://contosoorders/leases`: the storage account, and a table in it. `connect`: gives the `TableClient`."""
    parts = urlsplit(url)
    account, table = parts.netloc, parts.path.strip("/")
    if not re.fullmatch("[a-z0-9]{3,24}", account) or not re.fullmatch("[A-Za-z][A-Za-z0-9]{2,62}", table):
        raise ConfigError(f"{url!r} is not tables://ACCOUNT/TABLE, such as tables://contosoorders/leases; {NAMES}")
    return TaggedStore(Table(functools.partial(connect, account, table)))
