"""One DynamoDB table, a change at a time: the process's client, the conditions, and what a refusal says.

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
"""Past its expiry an item may be removed by DynamoDB: long after any clock could take the record for a live one."""


class Table:
    """`dynamodb`: a boto3 client; the process's own otherwise."""

    def __init__(self, name: str, dynamodb: Any = None) -> None:
        self.name = name
        self._dynamodb = dynamodb

    def client(self) -> Any:
        return self._dynamodb or client()

    def write(self, change: Change) -> Answer:
        dynamodb = self.client()
        ask = dynamodb.delete_item if change.record is None else dynamodb.put_item
        try:
            ask(**self.action(change))
        except dynamodb.exceptions.ConditionalCheckFailedException as exc:
            return self.lost(change, exc.response)
        except Exception as exc:
            raise self.failure(exc) from exc
        return WON

    def lost(self, change: Change, told: Mapping[str, Any]) -> Answer:
        """By the item that the refusal came with. It may be missing, though not on AWS while there is an item: then it is read."""
        item = told.get("Item")
        if not item:
            key = {"key": {"S": name_of(change.key)}}
            item = self.client().get_item(TableName=self.name, Key=key, ConsistentRead=True).get("Item")
        return Answer(won=False, record=load(item["r"]["S"]) if item else None)

    def failure(self, exc: Exception) -> StoreError:
        from botocore.exceptions import HTTPClientError

        if isinstance(exc, HTTPClientError):
            self.client().close()  # only the idle connections, which may be as dead as this one: the next try has new ones
        return because(StoreError(f"DynamoDB table {self.name!r}: {type(exc).__name__}: {exc}"), exc)

    def action(self, change: Change) -> dict[str, Any]:
        """As PutItem, DeleteItem and a transaction's actions take it. Only what an expression uses may be named beside it."""
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
    """The key, if DynamoDB takes it: 2,048 bytes of UTF-8. Otherwise its beginning, and its hash."""
    raw = key.encode("utf-8", "surrogatepass")
    if raw[:MAX_KEY_BYTES].decode("utf-8", "ignore") == key:
        return key
    digest = hashlib.sha256(raw).hexdigest()
    return f"{raw[: MAX_KEY_BYTES - 1 - len(digest)].decode('utf-8', 'ignore')}#{digest}"
