"""Cost of a key in DynamoDB: a batch with a pydantic model and a handler that does nothing, each message run once.

Both sides have boto3's real client, which is answered by a hook before it would send: after 5 ms, or at once where the
client's own CPU is measured. Theirs is what its documentation shows: the batch processor, and `idempotent_function`.
"""

from __future__ import annotations

import io
import json
import logging
import os
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import boto3
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from botocore.awsrequest import AWSResponse

from benchmarks.messages import Record, event, ours
from peeklock import sqs
from peeklock.idempotency import record as records
from peeklock.stores import dynamodb
from peeklock.stores.dynamodb import DynamoStore
from peeklock.stores.record_json import dump
from peeklock.testing import Outbox

TRIP = 0.005
MOST = 300
LATER = datetime.now(UTC) + timedelta(days=1)
DONE = records.Record(
    state=records.State.DONE, version=1, owner="0123456789ab", message="m", expires_at=LATER, lease_until=LATER
)
OURS = {"v": {"N": "1"}, "r": {"S": dump(DONE)}}
THEIRS = {
    "id": {"S": "k"},
    "status": {"S": "COMPLETED"},
    "expiration": {"N": str(int(LATER.timestamp()))},
    "data": {"S": "null"},
}
HERE = {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}

Run = Callable[[Any], Any]


class Table:
    """Answers each request of a client: every condition holds, or with `item` none does."""

    def __init__(self, client: Any) -> None:
        self.delivery: dict[str, Any] | None = None
        self.trip = 0.0
        self.asked = 0
        client.meta.events.register_first("before-send.dynamodb", self)

    def __call__(self, request: Any, **_: Any) -> AWSResponse:
        self.asked += 1
        if self.trip:
            time.sleep(self.trip)
        if self.delivery is None:
            return answer(request, 200, {})
        action = request.headers["X-Amz-Target"].decode().partition(".")[2]
        if action == "TransactWriteItems":
            reasons = [{"Code": "ConditionalCheckFailed", "Item": self.delivery}] * request.body.count(b'"Put"')
            return answer(request, 400, refusal("TransactionCanceledException") | {"CancellationReasons": reasons})
        return answer(request, 400, refusal("ConditionalCheckFailedException") | {"Item": self.delivery})


def refusal(name: str) -> dict[str, Any]:
    return {"__type": f"com.amazonaws.dynamodb.v20120810#{name}", "message": "The conditional request failed"}


class Raw(io.BytesIO):
    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.read()


def answer(request: Any, status: int, told: Any) -> AWSResponse:
    body = json.dumps(told).encode()
    headers = {"content-type": "application/x-amz-json-1.0", "x-amz-crc32": str(zlib.crc32(body))}
    return AWSResponse(request.url, status, headers, Raw(body))


class Context:
    """Lambda's context, with the attributes that Powertools reads."""

    function_name = "orders"

    def get_remaining_time_in_millis(self) -> int:
        return 900_000


def peer() -> tuple[Run, Table]:
    client = boto3.client("dynamodb")
    config = IdempotencyConfig(event_key_jmespath="messageId")
    processor = BatchProcessor(event_type=EventType.SQS, model=Record)
    context: Any = Context()

    @idempotent_function(
        data_keyword_argument="record",
        config=config,
        persistence_store=DynamoDBPersistenceLayer("keys", boto3_client=client),
    )
    def theirs(record: Record) -> None:
        return None

    def run(made: Any) -> Any:
        config.register_lambda_context(context)
        return process_partial_response(made, lambda record: theirs(record=record), processor, context)

    return run, Table(client)


def mine(*, transact: bool) -> tuple[Run, Table]:
    dynamodb.client.forget()  # a client of its own, for a hook of its own
    client = dynamodb.client()
    entry = sqs.bind(ours, store=DynamoStore("keys", transact=transact, dynamodb=client), dead_letter=Outbox())
    return lambda made: entry(made, None), Table(client)


@contextmanager
def elsewhere() -> Iterator[None]:
    """No account is needed: nothing is sent."""
    with patch.dict(os.environ, HERE):
        yield
    dynamodb.client.forget()


MODES = {"conditional writes": False, "transactions": True}

WALL = (
    # messages, redelivered, target of conditional writes, target of transactions
    (10, False, 0.15, 0.15),
    (100, False, 0.12, 0.06),
    (1_000, False, 0.05, 0.05),
    (100, True, 0.06, 0.06),
)


def measure(rounds: int = 7) -> list[dict[str, object]]:
    """The best of several rounds for each, in turn: noise only ever adds."""
    logging.getLogger("peeklock").setLevel(logging.ERROR)
    logging.getLogger("aws_lambda_powertools").setLevel(logging.ERROR)
    with elsewhere():
        sides = {"theirs": peer(), **{name: mine(transact=transact) for name, transact in MODES.items()}}
        results = [one for size, again, *targets in WALL for one in wall(sides, rounds, size, *targets, again=again)]
        return results + cpu(sides, rounds) + trips(sides)


def wall(
    sides: dict[str, tuple[Run, Table]], rounds: int, size: int, *targets: float, again: bool
) -> list[dict[str, object]]:
    took = timed(sides, rounds, size, again=again, trip=TRIP, clock=time.perf_counter)
    what = f"batch of {size}, {'all done before' if again else 'first delivery'}, 5 ms a trip"
    return [row(f"{what}, {name}", took, name, target, "ms") for name, target in zip(MODES, targets, strict=True)]


def cpu(sides: dict[str, tuple[Run, Table]], rounds: int) -> list[dict[str, object]]:
    took = timed(sides, 3 * rounds, 100, again=False, trip=0.0, clock=time.process_time)
    took = {name: value * 1e3 / 100 for name, value in took.items()}
    return [row(f"CPU of a message, batch of 100, {name}", took, name, 0.6, "us") for name in MODES]


def trips(sides: dict[str, tuple[Run, Table]]) -> list[dict[str, object]]:
    asked = {}
    for name, (run, table) in sides.items():
        table.delivery, table.trip, table.asked = None, 0.0, 0
        run(event(100))
        asked[name] = float(table.asked)
    return [row(f"round trips of 100 messages, {name}", asked, name, None, "") for name in MODES]


def timed(
    sides: dict[str, tuple[Run, Table]],
    rounds: int,
    size: int,
    *,
    again: bool,
    trip: float,
    clock: Callable[[], float],
) -> dict[str, float]:
    """Milliseconds of a batch. Theirs waits for so many trips that few rounds will do."""
    took: dict[str, list[float]] = {name: [] for name in sides}
    for name, (run, table) in sides.items():
        table.trip, table.delivery = 0.0, None
        if again:
            table.delivery = THEIRS if name == "theirs" else OURS
        run(event(min(size, 100)))  # what is made once is made
        table.trip = trip
    for n in range(rounds):
        for name, (run, _table) in sides.items():
            if name == "theirs" and trip and n * size >= MOST:
                continue
            made = event(size)
            started = clock()
            run(made)
            took[name].append((clock() - started) * 1e3)
    return {name: min(values) for name, values in took.items()}


def row(name: str, took: dict[str, float], mode: str, target: float | None, unit: str) -> dict[str, object]:
    mine, theirs = took[mode], took["theirs"]
    named = {"name": f"DynamoDB: {name}", "ours": mine, "theirs": theirs, "unit": unit}
    return {**named, "ratio": mine / theirs, "target": target}


if __name__ == "__main__":
    for one in measure():
        print(f"{one['name']:80} {one['ours']:8.1f} {one['theirs']:8.1f} {one['ratio']:.3f} {one['target']}")
