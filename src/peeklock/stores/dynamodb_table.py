"""Writes to one DynamoDB table: conditions, items, and answers to refused changes.

An item is `key` (S, the partition key), `v` (N, the record's version), `r` (S, the record) and `ttl` (N, epoch seconds).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from peeklock.errors import StoreError, because
from peeklock.idempotency.store import WON, Answer, Change
from peeklock.stores.dynamodb_client import client
from peeklock.stores.record_json import dump, load

MAX_KEY_BYTES = 2048
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html

GARBAGE = timedelta(days=1)
"""Time from a record's expiry until DynamoDB may remove the item: longer than any two clocks differ."""


class Table:
    """A table, with the items of its changes. `dynamodb`: a boto3 client; by default, the process's own."""

    def __init__(self, name: str, dynamodb: Any = None) -> None:
        self.name = name
        self._dynamodb = dynamodb

    def client(self) -> Any:
        return self._dynamodb or client()

    def write(self, change: Change) -> Answer:
        """Make a change by one conditional write. Raises StoreError where DynamoDB does not answer."""
        dynamodb = self.client()
        write = dynamodb.delete_item if change.record is None else dynamodb.put_item
        try:
            write(**self.action(change))
        except dynamodb.exceptions.ConditionalCheckFailedException as exc:
            return self.lost(change, exc.response)
        except Exception as exc:
            raise self.failure(exc) from exc
        return WON

    def lost(self, change: Change, refusal: Mapping[str, Any]) -> Answer:
        """Return the answer to a refused change, from the item that DynamoDB sent with the refusal.

        Other servers than AWS leave that out even where there is an item: then it is read.
        """
        item = refusal.get("Item")
        if not item:
            key = {"key": {"S": name_of(change.key)}}
            item = self.client().get_item(TableName=self.name, Key=key, ConsistentRead=True).get("Item")
        return Answer(won=False, record=load(item["r"]["S"]) if item else None)

    def failure(self, exc: Exception) -> StoreError:
        """Return the StoreError for an exception of the SDK."""
        from botocore.exceptions import HTTPClientError

        if isinstance(exc, HTTPClientError):
            self.client().close()  # closes idle connections only, which may be broken as well: the next try opens new ones
        return because(StoreError(f"DynamoDB table {self.name!r}: {type(exc).__name__}: {exc}"), exc)

    def action(self, change: Change) -> dict[str, Any]:
        """Return a change's parameters for PutItem, DeleteItem or a transaction. DynamoDB refuses names and values that no
        expression uses."""
        action: dict[str, Any] = {"TableName": self.name, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
        allowed: list[str] = []
        values: dict[str, Any] = {}
        key, record = {"S": name_of(change.key)}, change.record
        if change.expected is None or record is None:
            allowed.append("attribute_not_exists(#key)")
            action["ExpressionAttributeNames"] = {"#key": "key"}
        if change.expected is not None:
            allowed.append("v = :expected")
            values[":expected"] = {"N": str(change.expected)}
        if record is None:
            action["Key"] = {"key": key}
        else:
            text = {"S": dump(record)}
            allowed.append("r = :mine")
            values[":mine"] = text
            ttl = math.ceil((record.expires_at + GARBAGE).timestamp())
            action["Item"] = {"key": key, "v": {"N": str(record.version)}, "r": text, "ttl": {"N": str(ttl)}}
        if values:
            action["ExpressionAttributeValues"] = values
        return {**action, "ConditionExpression": " OR ".join(allowed)}


def name_of(key: str) -> str:
    """Return the key if it has at most 2,048 bytes of UTF-8, which DynamoDB takes; else its beginning and its hash."""
    raw = key.encode("utf-8", "surrogatepass")
    if raw[:MAX_KEY_BYTES].decode("utf-8", "ignore") == key:
        return key
    digest = hashlib.sha256(raw).hexdigest()
    return f"{raw[: MAX_KEY_BYTES - 1 - len(digest)].decode('utf-8', 'ignore')}#{digest}"
