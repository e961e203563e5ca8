"""Checked by mypy and pyright, never run: what a user's own types become."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_type

from pydantic import BaseModel

from peeklock import Batch, DeadLetter, Message, Outcome, Queue, Retry, consumer, send, sqs
from peeklock.testing import deliver, deliver_all

QUEUE = Queue("orders", max_attempts=5, timeout=30, first_delay=2.5)


class Order(BaseModel):
    order_id: str


@consumer(QUEUE, key="order_id", fatal=(ValueError,))
def charge(order: Order) -> int:
    return len(order.order_id)


@consumer(QUEUE)
async def charge_async(order: Order, message: Message) -> None:
    assert_type(message.attempt, int)


@consumer(QUEUE)
def store_rows(rows: Batch[Order]) -> Mapping[str, Exception]:
    assert_type(rows[0], Order)
    for message, row in rows.pairs():
        assert_type(message.id, str)
        assert_type(row, Order)
    return {}


def decide(exc: BaseException) -> Retry | DeadLetter | None:
    return Retry(after=3) if isinstance(exc, TimeoutError) else None


@consumer(QUEUE, on_error=decide)
class Service:
    def __call__(self, order: Order) -> None:
        return None


def uses() -> None:
    assert_type(charge(Order(order_id="x")), int)
    assert_type(deliver(charge, Order(order_id="x"), attempt=5), Outcome)
    assert_type(deliver_all(charge, []), list[Outcome])
    assert_type(send(QUEUE, Order(order_id="x"), delay=30, group="c", id="o"), str)
    sqs.bind(charge, parallel=4)


def mistakes() -> None:
    charge("x")  # type: ignore[arg-type] # not an order
    Queue("orders", retries=3)  # type: ignore[call-arg] # there is no such number
    Queue("orders", timeout="30")  # type: ignore[arg-type] # not a duration
    consumer(QUEUE, fatal=ValueError)  # type: ignore[arg-type] # a tuple
    sqs.bind(charge, paralel=4)  # type: ignore[call-arg] # a typo
    Retry(after="soon")  # type: ignore[arg-type] # not a duration
