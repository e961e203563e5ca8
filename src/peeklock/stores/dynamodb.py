"""A store in one DynamoDB table: a conditional write for each change, side by side, or up to 100 in a transaction.

An item is `key` (S, the partition key), `v` (N, the record's version), `r` (S, the record) and `ttl` (N, epoch seconds).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from peeklock.errors import ConfigError, StoreError, because
from peeklock.once import once
from peeklock.store import WON, Answer, Change
from peeklock.stores.record_json import dump, load
from peeklock.stores.together import CONNECTIONS, pool, together

CONNECT_SECONDS = 2
READ_SECONDS = 3
"""DynamoDB answers within milliseconds; what takes longer is lost, and the desk asks again while there is time."""

MAX_KEY_BYTES = 2048
MAX_TRANSACTION = 100
MAX_TRANSACTION_BYTES = 4_000_000
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html

ITEM_OVERHEAD = 4096
"""Bytes of an item beside its record, at most: its key, a name, two numbers."""

TRIPS = 3
"""Of one transaction: with all its changes, without those that lost, and once more where others were quicker."""

GARBAGE = timedelta(days=1)
"""Past its expiry an item may be removed by DynamoDB: long after any clock could take the record for a live one."""

_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html

Asked = Sequence[tuple[Change, dict[str, Any]]]


@once
def client() -> Any:
    """The process's client; region, endpoint and credentials are boto3's business. Raises ConfigError without boto3 or a
    region. Parameters are not validated, which the service does anyway, and nothing is retried, which the desk does.
    https://docs.aws.amazon.com/botocore/latest/reference/config.html"""
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import NoRegionError
    except ImportError as exc:
        raise ConfigError("boto3 is not installed: pip install 'peeklock[dynamodb]'") from exc
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=CONNECTIONS,
        parameter_validation=False,
        retries={"mode": "standard", "total_max_attempts": 1},
    )
    try:
        return boto3.client("dynamodb", config=config)
    except NoRegionError as exc:
        raise ConfigError("the DynamoDB store needs a region: set AWS_DEFAULT_REGION, as Lambda does") from exc


class DynamoStore:
    """Compare-and-swap over a table. `transact`: by transactions, for twice the price and a fraction of the trips.
    `dynamodb`: a boto3 client; the process's own otherwise."""

    def __init__(self, table: str, *, transact: bool = False, dynamodb: Any = None) -> None:
        self.table = table
        self.transact = transact
        self._dynamodb = dynamodb

    def swap(self, changes: Sequence[Change], /) -> Sequence[Answer]:
        if not self.transact or len(changes) < 2:  # noqa: PLR2004 - one by itself costs half of a transaction
            return together(self._write, changes)
        answers: dict[str, Answer] = {}
        chunks = list(_chunks([(change, _action(self.table, change)) for change in changes]))
        for told in map(self._chunk, chunks) if len(chunks) == 1 else pool().map(self._chunk, chunks):
            answers.update(told)
        return [answers[change.key] for change in changes]

    def _client(self) -> Any:
        return self._dynamodb or client()

    def _write(self, change: Change) -> Answer:
        dynamodb = self._client()
        ask = dynamodb.delete_item if change.record is None else dynamodb.put_item
        try:
            ask(**_action(self.table, change))
        except dynamodb.exceptions.ConditionalCheckFailedException as exc:
            return self._lost(change, exc.response)
        except Exception as exc:
            raise self._failure(exc) from exc
        return WON

    def _chunk(self, chunk: Asked) -> Mapping[str, Answer]:
        """What is not known in the end is an error: the desk asks again, after a pause."""
        answers: dict[str, Answer] = {}
        failure = StoreError(f"DynamoDB table {self.table!r}: others of the transaction failed, {TRIPS} times")
        rest = chunk
        try:
            for _ in range(TRIPS):
                rest = self._transact(rest, answers)
                if not rest:
                    break
        except Exception as exc:  # noqa: BLE001 - whatever an SDK raises: not known whether it was made
            failure = self._failure(exc)
        return {change.key: Answer(won=False, error=failure) for change, _ in rest} | answers

    def _transact(self, asked: Asked, answers: dict[str, Answer]) -> Asked:
        """What has no answer yet: nothing was wrong with it but with others."""
        if len(asked) == 1:
            change, _ = asked[0]
            answers[change.key] = together(self._write, [change])[0]
            return ()
        dynamodb = self._client()
        try:
            dynamodb.transact_write_items(TransactItems=[{_kind(change): action} for change, action in asked])
        except dynamodb.exceptions.TransactionCanceledException as exc:
            told = list(zip(asked, exc.response["CancellationReasons"], strict=True))
            answers.update({one.key: self._judge(one, why) for (one, _), why in told if why["Code"] != "None"})
            return [one for one, why in told if why["Code"] == "None"]
        answers.update(dict.fromkeys((change.key for change, _ in asked), WON))
        return ()

    def _judge(self, change: Change, why: Mapping[str, Any]) -> Answer:
        """One action's reason: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CancellationReason.html"""
        if why["Code"] == "ConditionalCheckFailed":
            return together(lambda change: self._lost(change, why), [change])[0]
        told = f"{why['Code']}: {why.get('Message', '')}"
        return Answer(won=False, error=StoreError(f"DynamoDB table {self.table!r}: {told}"))

    def _lost(self, change: Change, told: Mapping[str, Any]) -> Answer:
        """By the item that the refusal came with. It may be missing, though not on AWS while there is an item: then it is read."""
        item = told.get("Item")
        if not item:
            key = {"key": {"S": _name(change.key)}}
            item = self._client().get_item(TableName=self.table, Key=key, ConsistentRead=True).get("Item")
        return Answer(won=False, record=load(item["r"]["S"]) if item else None)

    def _failure(self, exc: Exception) -> StoreError:
        from botocore.exceptions import HTTPClientError

        if isinstance(exc, HTTPClientError):
            self._client().close()  # only the idle connections, which may be as dead as this one: the next try has new ones
        return because(StoreError(f"DynamoDB table {self.table!r}: {type(exc).__name__}: {exc}"), exc)


def _chunks(asked: Asked) -> Iterator[Asked]:
    chunk: list[tuple[Change, dict[str, Any]]] = []
    size = 0
    for change, action in asked:
        weight = ITEM_OVERHEAD + (len(action["Item"]["r"]["S"]) if "Item" in action else 0)
        if chunk and (len(chunk) == MAX_TRANSACTION or size + weight > MAX_TRANSACTION_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append((change, action))
        size += weight
    yield chunk


def _kind(change: Change) -> str:
    return "Delete" if change.record is None else "Put"


def _action(table: str, change: Change) -> dict[str, Any]:
    """As PutItem, DeleteItem and a transaction's actions take it. Only what an expression uses may be named beside it."""
    action: dict[str, Any] = {"TableName": table, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    allowed: list[str] = []
    values: dict[str, Any] = {}
    key, record = {"S": _name(change.key)}, change.record
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


def _name(key: str) -> str:
    """The key, if DynamoDB takes it: 2,048 bytes of UTF-8. Otherwise its beginning, and its hash."""
    raw = key.encode("utf-8", "surrogatepass")
    if raw[:MAX_KEY_BYTES].decode("utf-8", "ignore") == key:
        return key
    digest = hashlib.sha256(raw).hexdigest()
    return f"{raw[: MAX_KEY_BYTES - 1 - len(digest)].decode('utf-8', 'ignore')}#{digest}"


def from_url(url: str) -> DynamoStore:
    """`dynamodb://orders-leases`, or `dynamodb://orders-leases?writes=transact`. Raises ConfigError for anything else."""
    parts = urlsplit(url)
    if not _TABLE.fullmatch(parts.netloc) or parts.path.strip("/"):
        raise ConfigError(f"{url!r} names no DynamoDB table, such as dynamodb://orders-leases")
    if parts.query not in ("", "writes=transact"):
        raise ConfigError(f"{url!r}: known after the ? is writes=transact only, which writes by transactions")
    client()
    return DynamoStore(parts.netloc, transact=bool(parts.query))
