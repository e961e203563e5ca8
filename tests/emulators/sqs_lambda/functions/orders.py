"""A consumer of peeklock's whose messages say what goes wrong, bound for a standard and for a FIFO queue."""

from __future__ import annotations

import importlib
import os
import signal
import time
from typing import Any

from peeklock import DeadLetter, Message, Queue, Retry, consumer, sqs
from peeklock.platforms.sqs import client as sqs_client

note = importlib.import_module("app").note  # a function's folder is its path

ORDERS = Queue("orders", max_attempts=2, timeout=0.5, first_delay=0, max_delay=0)
FIFO = Queue("orders", max_attempts=3, timeout=0.5, first_delay=0, max_delay=0, fifo=True)

# As users do: what is loaded before the first event is not on its clock.
sqs_client.client()


class Declined(Exception):
    pass


def run(order: dict[str, Any], message: Message) -> None:
    note(order=order["order_id"], attempt=message.attempt, delivery=message.delivery, what="begin")
    misdeed = order.get("do")
    if misdeed is not None:
        MISDEEDS[misdeed](message)
    note(order=order["order_id"], attempt=message.attempt, what="end")


def retry_once(message: Message) -> None:
    if message.attempt == 1:
        raise Retry(after=2)


def always_fail(message: Message) -> None:
    raise ValueError("no luck")


def decline(message: Message) -> None:
    if message.effective_lineage.generation == 0:
        raise Declined("card")


def hang_once(message: Message) -> None:
    if message.attempt == 1:
        time.sleep(5)


def die_once(message: Message) -> None:
    if message.delivery == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def take(message: Message) -> None:
    time.sleep(0.2)


def refuse(message: Message) -> None:
    raise DeadLetter("never")


MISDEEDS = {
    "retry once": retry_once,
    "always fail": always_fail,
    "decline": decline,
    "hang once": hang_once,
    "die once": die_once,
    "take": take,
    "refuse": refuse,
}


@consumer(ORDERS, key="order_id", fatal=(Declined,))
def order(order: dict[str, Any], message: Message) -> None:
    run(order, message)


@consumer(FIFO, key="order_id", fatal=(Declined,))
def fifo_order(order: dict[str, Any], message: Message) -> None:
    run(order, message)


handler = sqs.bind(order)
fifo_handler = sqs.bind(fifo_order)
