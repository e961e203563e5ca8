"""Cost of a message: a batch with a pydantic model and a handler that does nothing, without a store on both sides."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.parser.models import SqsRecordModel
from pydantic import BaseModel, Json

from peeklock import Queue, consumer, sqs
from peeklock.testing import Outbox

SIZES = (10, 100, 1_000, 10_000)


class Order(BaseModel):
    order_id: str
    customer: str
    cents: int


class Record(SqsRecordModel):
    body: Json[Order]  # type: ignore[assignment] # as Powertools documents it


@consumer(Queue("orders"))
def ours(order: Order) -> None:
    return None


def theirs(record: Record) -> None:
    return None


BODY = json.dumps({"order_id": "o-1", "customer": "x" * 200, "cents": 100})


def event(size: int) -> dict[str, Any]:
    """A new one each time: Lambda parses each event anew, too."""
    return {"Records": [record(n) for n in range(size)]}


def record(n: int) -> dict[str, Any]:
    return {
        "messageId": f"059f36b4-87a3-44ab-83d2-{n:012d}",
        "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
        "body": BODY,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1545082649183",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": "1545082649185",
        },
        "messageAttributes": {},
        "md5OfBody": "098f6bcd4621d373cade4e832627b4f6",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-2:123456789012:my-queue",
        "awsRegion": "us-east-2",
    }


def measure(rounds: int) -> list[dict[str, object]]:
    """The best of several rounds for each, in turn: noise only ever adds."""
    logging.getLogger("peeklock").setLevel(logging.ERROR)
    processor = BatchProcessor(event_type=EventType.SQS, model=Record)
    entry = sqs.bind(ours, dead_letter=Outbox())

    def peer(made: Any) -> Any:
        return process_partial_response(made, theirs, processor, None)  # type: ignore[arg-type] # no context is needed

    results = []
    for size in SIZES:
        mine: list[float] = []
        others: list[float] = []
        for _ in range(
            max(3 * rounds, 2_000 * rounds // size)
        ):  # a full garbage collection hits every third of the largest
            others.append(timed(peer, size))
            mine.append(timed(lambda made: entry(made, None), size))
        best, best_peer = min(mine), min(others)
        target = 1.0 if size < 100 else 0.7
        results.append(
            {
                "name": f"message with a model, batch of {size}",
                "ours": best,
                "theirs": best_peer,
                "unit": "us",
                "ratio": best / best_peer,
                "target": target,
            }
        )
    return results


def timed(run: Callable[[Any], Any], size: int) -> float:
    """Microseconds a message."""
    made = event(size)
    started = time.perf_counter()
    run(made)
    return (time.perf_counter() - started) * 1e6 / size
