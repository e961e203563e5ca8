"""Store in an Azure Storage table. docs/stores-tables.md says what has to exist, and what it costs."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from peeklock.errors import ConfigError, StoreError
from peeklock.redaction import shown
from peeklock.stores.etag_store import ETagStore, Row, Write
from peeklock.stores.record_json import dump
from peeklock.stores.tables_client import client

ROW = "record"
"""Row key of the only row in a partition. Each key has a partition: one partition serves 2,000 entities per second, an
account 20,000.
https://learn.microsoft.com/azure/storage/tables/scalability-targets"""

MAX_KEY = 1024
"""Characters of a key that a row shows to people."""

NAMES = "an account has 3 to 24 lower-case letters and digits, a table 3 to 63 letters and digits"
# https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model#table-names

Client = Callable[[], Any]


class Table:
    """Table with one entity per key. `client`: returns a `TableClient`."""

    keys_per_call = 1

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
        return Row(etag=entity.metadata["etag"], text=entity["r"])

    def _write(self, table: Any, write: Write) -> Row | None:
        from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError

        try:
            return Row(etag=_send(table, write))
        except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError):
            return None  # a missing table is reported by the read that follows


def _send(table: Any, write: Write) -> Any:
    """Make a write and return the new etag; none after a removal, which the SDK reports as made even where there was no
    entity."""
    from azure.core import MatchConditions
    from azure.data.tables import UpdateMode

    if write.etag is None:
        return table.create_entity(entity_of(write))["etag"]
    if_same = {"etag": write.etag, "match_condition": MatchConditions.IfNotModified}
    if write.record is None:
        return table.delete_entity(partition_of(write.key), ROW, **if_same)
    return table.update_entity(entity_of(write), mode=UpdateMode.REPLACE, **if_same)["etag"]


def entity_of(write: Write) -> dict[str, Any]:
    """Return the entity of a record. Only `r` is read again; the other properties are for people and for the purge."""
    assert write.record is not None, "a removal writes no row"
    return {
        "PartitionKey": partition_of(write.key),
        "RowKey": ROW,
        "key": write.key[:MAX_KEY],
        "r": dump(write.record),
        "expires": write.record.expires_at,
    }


def partition_of(key: str) -> str:
    """Return a partition key that the service allows, for a key of any length and script."""
    return hashlib.sha256(key.encode()).hexdigest()


def from_url(url: str, connect: Callable[[str, str], Any] = client) -> ETagStore:
    """Return the store of `tables://contosoorders/leases`, a storage account and a table in it. Raises ConfigError for another
    form.

    `connect`: returns the `TableClient`; by default, the process's own.
    """
    parts = urlsplit(url)
    account, table = parts.netloc, parts.path.strip("/")
    if not re.fullmatch("[a-z0-9]{3,24}", account) or not re.fullmatch("[A-Za-z][A-Za-z0-9]{2,62}", table):
        raise ConfigError(
            f"{shown(url)!r} is not tables://ACCOUNT/TABLE, such as tables://contosoorders/leases; {NAMES}"
        )
    return ETagStore(Table(functools.partial(connect, account, table)))
