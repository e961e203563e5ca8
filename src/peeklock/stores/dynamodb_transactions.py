"""Changes in DynamoDB transactions: up to 100 in a round trip, at twice the price of single writes."""

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
"""Largest size of an item without its record, in bytes: key, names and two numbers."""

TRIPS = 3
"""Attempts of one transaction: with all changes, without those that lost, and once more after a conflict with others."""

Pending = Sequence[tuple[Change, dict[str, Any]]]
"""Changes, each with its parameters of TransactWriteItems."""


def transact(table: Table, changes: Sequence[Change]) -> Sequence[Answer]:
    """Return the answer to each change, in order. A losing change cancels its transaction, and the others are sent again."""
    chunks = list(_chunks([(change, table.action(change)) for change in changes]))
    apply = map if len(chunks) == 1 else pool.map
    answers: dict[str, Answer] = {}
    for chunk_answers in apply(partial(_chunk, table), chunks):
        answers.update(chunk_answers)
    return [answers[change.key] for change in changes]


def _chunk(table: Table, chunk: Pending) -> Mapping[str, Answer]:
    """Return the answer to each change of a chunk; an error where none is certain in the end, so that the engine retries."""
    answers: dict[str, Answer] = {}
    failure = StoreError(f"DynamoDB table {table.name!r}: other changes of the transaction failed, {TRIPS} times")
    rest = chunk
    try:
        for _ in range(TRIPS):
            rest = _transact(table, rest, answers)
            if not rest:
                break
    except Exception as exc:  # noqa: BLE001 - any exception of the SDK: the changes may have been made
        failure = table.failure(exc)
    return {change.key: Answer(won=False, error=failure) for change, _ in rest} | answers


def _transact(table: Table, pending: Pending, answers: dict[str, Answer]) -> Pending:
    """Run one transaction, record the answers, and return the changes that were cancelled only because of others."""
    if len(pending) == 1:
        change, _ = pending[0]
        answers[change.key] = swap_in_parallel(table.write, [change])[0]
        return ()
    dynamodb = table.client()
    try:
        dynamodb.transact_write_items(TransactItems=[{_kind(change): action} for change, action in pending])
    except dynamodb.exceptions.TransactionCanceledException as exc:
        reasons = list(zip(pending, exc.response["CancellationReasons"], strict=True))
        answers.update(
            {change.key: _judge(table, change, why) for (change, _), why in reasons if why["Code"] != "None"}
        )
        return [entry for entry, why in reasons if why["Code"] == "None"]
    answers.update(dict.fromkeys((change.key for change, _ in pending), WON))
    return ()


def _judge(table: Table, change: Change, why: Mapping[str, Any]) -> Answer:
    """Return the answer that a cancellation reason means: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CancellationReason.html"""
    if why["Code"] == "ConditionalCheckFailed":
        return swap_in_parallel(lambda change: table.lost(change, why), [change])[0]
    reason = f"{why['Code']}: {why.get('Message', '')}"
    return Answer(won=False, error=StoreError(f"DynamoDB table {table.name!r}: {reason}"))


def _chunks(pending: Pending) -> Iterator[Pending]:
    chunk: list[tuple[Change, dict[str, Any]]] = []
    size = 0
    for change, action in pending:
        weight = ITEM_OVERHEAD + (len(action["Item"]["r"]["S"]) if "Item" in action else 0)
        if chunk and (len(chunk) == MAX_TRANSACTION or size + weight > MAX_TRANSACTION_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append((change, action))
        size += weight
    yield chunk


def _kind(change: Change) -> str:
    return "Delete" if change.record is None else "Put"
