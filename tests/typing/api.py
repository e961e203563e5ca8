"""Checked by mypy and pyright, never run: what a user's own types become."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import Any, assert_type

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
    assert_type(rows[1:], Sequence[Order])
    assert_type(len(rows), int)
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


plain: Callable[[Order], int] = charge
coroutine: Callable[[Order, Message], Coroutine[Any, Any, None]] = charge_async
batch: Callable[[Batch[Order]], Mapping[str, Exception]] = store_rows


def uses() -> None:
    Queue("orders", timeout=timedelta(seconds=3), max_age=None, keep=7.5, fifo=True)
    assert_type(QUEUE.timeout, timedelta)
    assert_type(QUEUE.max_age, timedelta | None)
    assert_type(Retry("later", after=timedelta(1), counts=False).after, timedelta | None)
    consumer(QUEUE, key=lambda order: order.order_id, decode=bytes.decode)
    assert_type(deliver(store_rows, Order(order_id="x"), id="o", remaining=timedelta(1)), Outcome)
    assert_type(charge(Order(order_id="x")), int)
    assert_type(deliver(charge, Order(order_id="x"), attempt=5), Outcome)
    assert_type(deliver_all(charge, []), list[Outcome])
    assert_type(send(QUEUE, Order(order_id="x"), delay=30, group="c", id="o"), str)
    sqs.bind(charge, parallel=4)


def mistakes() -> None:
    charge("x")  # type: ignore[arg-type] # not an order
    assert_type(charge(Order(order_id="x")), str)  # type: ignore[assert-type] # an int: its own type is kept
    charge()  # type: ignore[call-arg] # no order
    asyncio.run(charge_async(Order(order_id="x")))  # type: ignore[call-arg] # no message
    store_rows([Order(order_id="x")])  # type: ignore[arg-type] # a list is no Batch
    Queue("orders", 5)  # type: ignore[call-arg] # numbers are given by name
    Queue("orders", max_attempts="5")  # type: ignore[arg-type] # not a number
    QUEUE.timeout = timedelta(1)  # type: ignore[misc] # frozen
    consumer(QUEUE, key=3)  # type: ignore[arg-type] # a name or a function
    consumer(QUEUE, on_error=len)  # type: ignore[arg-type] # decides nothing
    consumer("orders")  # type: ignore[arg-type] # a name is no queue
    consumer(QUEUE)(3)  # type: ignore[type-var] # nothing to call
    send(QUEUE, {}, 3)  # type: ignore[call-arg] # the delay is given by name
    send(QUEUE, {}, delay="30")  # type: ignore[arg-type] # not a duration
    deliver(charge)  # type: ignore[call-arg] # no payload
    deliver(charge, {}, attempt="5")  # type: ignore[arg-type] # not a number
    Queue("orders", retries=3)  # type: ignore[call-arg] # there is no such number
    Queue("orders", timeout="30")  # type: ignore[arg-type] # not a duration
    consumer(QUEUE, fatal=ValueError)  # type: ignore[arg-type] # a tuple
    sqs.bind(charge, paralel=4)  # type: ignore[call-arg] # a typo
    Retry(after="soon")  # type: ignore[arg-type] # not a duration
