"""Store in a Firestore collection. docs/stores-firestore.md says what has to exist, and what it costs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from peeklock.errors import ConfigError, StoreError
from peeklock.redaction import shown
from peeklock.stores.etag_store import ETagStore, Row, Write
from peeklock.stores.firestore_client import EMULATOR, client
from peeklock.stores.record_json import dump

AS_OWNER = (("authorization", "Bearer owner"),)
"""Metadata for the emulator, which takes a BatchWrite only from an administrator, identified by this token."""

SECONDS = 3.0
"""Time-out of one try. The engine retries, and knows the deadline; the SDK would retry for a minute."""

KEYS_PER_CALL = 100
"""Records in a call: as many of the largest size as fit into a request of 10 MiB.
https://cloud.google.com/firestore/quotas#writes_and_transactions"""

GARBAGE = timedelta(days=1)
"""Time from a record's expiry until Firestore, whose clock may differ, may remove the document."""

MAX_KEY = 1024
"""Characters of a key that a document shows to people."""

_ADDRESS = "firestore://PROJECT/COLLECTION or firestore://PROJECT/DATABASE/COLLECTION"

OK, NOT_FOUND, ALREADY_EXISTS, FAILED_PRECONDITION = 0, 5, 6, 9
# https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto

Client = Callable[[], Any]


class Collection:
    """Collection with one document per key. The time of a document's update is its etag.

    All writes of a call go into one BatchWrite, in which each has its own condition and status.
    https://cloud.google.com/firestore/docs/reference/rpc/google.firestore.v1#google.firestore.v1.Firestore.BatchWrite

    `path`: the collection's path, with its database. `client`: returns a `FirestoreClient`.
    """

    keys_per_call = KEYS_PER_CALL

    def __init__(self, path: str, client: Client) -> None:
        self.path = path
        self.database = path.partition("/documents/")[0]
        self.client = client

    def read(self, keys: Sequence[str], /) -> Sequence[Row]:
        names = [self.name(key) for key in keys]
        parts = [_raw(part) for part in self._call("batch_get_documents", documents=names)]
        documents = {part.found.name: part.found for part in parts}
        return [_row(documents[name]) if name in documents else Row() for name in names]

    def write(self, writes: Sequence[Write], /) -> Sequence[Row | None]:
        response = _raw(self._call("batch_write", writes=[self.write_of(write) for write in writes]))
        return [_write_result(*each) for each in zip(response.status, response.write_results, strict=True)]

    def _call(self, method: str, **request: Any) -> Any:
        call = getattr(self.client(), method)
        owner = AS_OWNER if os.environ.get(EMULATOR) else ()
        return call(request={"database": self.database, **request}, retry=None, timeout=SECONDS, metadata=owner)

    def write_of(self, write: Write) -> dict[str, Any]:
        """Return a write as the client takes it. Only `r` is read again; `key` is for people, `expires_at` for the TTL
        policy."""
        name = self.name(write.key)
        condition = {"exists": False} if write.etag is None else {"update_time": write.etag}
        if write.record is None:
            return {"delete": name, "current_document": condition}
        fields = {
            "key": {"string_value": write.key[:MAX_KEY]},
            "r": {"string_value": dump(write.record)},
            "expires_at": {"timestamp_value": write.record.expires_at + GARBAGE},
        }
        return {"update": {"name": name, "fields": fields}, "current_document": condition}

    def name(self, key: str) -> str:
        """Return the document's name for a key of any length and script. Hashing spreads the names, since close ones are slow:
        https://cloud.google.com/firestore/docs/best-practices#hotspots"""
        return f"{self.path}/{hashlib.sha256(key.encode()).hexdigest()}"


def _raw(message: Any) -> Any:
    """Return the protobuf message below the SDK's wrapper: its times keep their nanoseconds, and access is several times as
    fast."""
    return type(message).pb(message)


def _row(document: Any) -> Row:
    return Row(etag=document.update_time, text=document.fields["r"].string_value)


def _write_result(status: Any, result: Any) -> Row | None:
    """Return the row that a write left; None where its condition was not met."""
    if status.code == OK:
        return Row(etag=result.update_time)
    if status.code in (NOT_FOUND, ALREADY_EXISTS, FAILED_PRECONDITION):
        return None
    return Row(error=StoreError(f"Firestore: {status.message or 'no reason given'} (status {status.code})"))


def from_url(url: str, connect: Client | None = None) -> ETagStore:
    """Return the store of `firestore://contoso-prod/leases`, a project and a collection in its default database, or of
    `firestore://contoso-prod/orders/leases`, with another database. Raises ConfigError for another form.

    `connect`: returns the `FirestoreClient`; by default, the process's own.
    """
    parts = urlsplit(url)
    words = [parts.netloc, *parts.path[1:].rstrip("/").split("/")]
    if len(words) == 2:  # noqa: PLR2004 - project and collection
        words.insert(1, "(default)")
    if len(words) != 3 or not all(words):  # noqa: PLR2004 - both, and the database
        raise ConfigError(f"{shown(url)!r} is not {_ADDRESS}, such as firestore://contoso-prod/leases")
    project, database, collection = words
    path = f"projects/{project}/databases/{database}/documents/{collection}"
    return ETagStore(Collection(path, connect or (lambda: client(os.environ.get(EMULATOR)))))
