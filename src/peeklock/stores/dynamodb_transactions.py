"""Changes in DynamoDB's transactions: up to 100 in a trip, for twice the price of as many single writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from peeklock.errors import StoreError
from peeklock.idempotency.store import WON, Answer, Change
from peeklock.stores.dynamodb_table import Table
from peeklock.stores.parallel import pool, swap_in_parallel

MAX_TRANSACTION = 100
MAX_TRANSACTION_BYTES = 4_000_000
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html

ITEM_OVERHEAD = 4096
"""Bytes of an item beside its record, at most: its key, a name, two numbers."""

TRIPS = 3
"""Of one transaction: with all its changes, without those that lost, and once more where others were quicker."""

Asked = Sequence[tuple[Change, dict[str, Any]]]
"""Changes, each with its action."""


def transact(table: Table, changes: Sequence[Change]) -> Sequence[Answer]:
    """The answers, in order. Each change is judged by itself, though one that loses cancels the others' trip."""
    chunks = list(_chunks([(change, table.action(change)) for change in changes]))
    apply = map if len(chunks) == 1 else pool.map
    answers: dict[str, Answer] = {}
    for told in apply(partial(_chunk, table), chunks):
        answers.update(told)
    return [answers[change.key] for change in changes]


def _chunk(table: Table, chunk: Asked) -> Mapping[str, Answer]:
    """What is not known in the end is an error: the desk asks again, after a pause."""
    answers: dict[str, Answer] = {}
    failure = StoreError(f"DynamoDB table {table.name!r}: others of the transaction failed, {TRIPS} times")
    rest = chunk
    try:
        for _ in range(TRIPS):
            rest = _transact(table, rest, answers)
            if not rest:
                break
    except Exception as exc:  # noqa: BLE001 - whatever an SDK raises: not known whether it was made
        failure = table.failure(exc)
    return {change.key: Answer(won=False, error=failure) for change, _ in rest} | answers


def _transact(table: Table, asked: Asked, answers: dict[str, Answer]) -> Asked:
    """What has no answer yet: nothing was wrong with it but with others."""
    if len(asked) == 1:
        change, _ = asked[0]
        answers[change.key] = swap_in_parallel(table.write, [change])[0]
        return ()
    dynamodb = table.client()
    try:
        dynamodb.transact_write_items(TransactItems=[{_kind(change): action} for change, action in asked])
    except dynamodb.exceptions.TransactionCanceledException as exc:
        told = list(zip(asked, exc.response["CancellationReasons"], strict=True))
        answers.update({one.key: _judge(table, one, why) for (one, _), why in told if why["Code"] != "None"})
        return [one for one, why in told if why["Code"] == "None"]
    answers.update(dict.fromkeys((change.key for change, _ in asked), WON))
    return ()


def _judge(table: Table, change: Change, why: Mapping[str, Any]) -> Answer:
    """One action's reason: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CancellationReason.html"""
    if why["Code"] == "ConditionalCheckFailed":
        return swap_in_parallel(lambda change: table.lost(change, why), [change])[0]
    told = f"{why['Code']}: {why.get('Message', '')}"
    return Answer(won=False, error=StoreError(f"DynamoDB table {table.name!r}: {told}"))


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
