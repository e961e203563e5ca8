"""Consumers of peeklock whose messages say what goes wrong, bound to a queue, to one in batches and to one of sessions."""

import importlib
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import azure.functions as func

from peeklock import DeadLetter, Message, Queue, Retry, consumer, servicebus

ORDERS = Queue("orders", max_attempts=2, timeout=0.5, first_delay=60, max_delay=60)
PARTS = Queue("parts", timeout=1)
LINES = Queue("lines", timeout=0.5, fifo=True)

importlib.import_module("azure.servicebus")  # what is loaded before the first event is not on its clock

app = func.FunctionApp()


class Declined(Exception):
    pass


def note(**seen: object) -> None:
    """In one write: functions of several threads take notes."""
    with Path(os.environ["EVIDENCE"]).open("a") as file:
        file.write(json.dumps({"pid": os.getpid(), "at": time.time(), **seen}) + "\n")


def run(order: dict[str, Any], message: Message) -> None:
    about = {"order": order["order_id"], "attempt": message.attempt, "delivery": message.delivery}
    note(what="begin", **about)
    misdeed = order.get("do")
    if misdeed is not None:
        MISDEEDS[misdeed](message)
    note(what="end", **about)


def retry_once(message: Message) -> None:
    if message.attempt == 1:
        raise Retry(after=60)


def retry_soon(message: Message) -> None:
    if message.attempt == 1:
        raise Retry(after=0.4)


def always_fail(message: Message) -> None:
    raise ValueError("no luck")


def decline(message: Message) -> None:
    if message.effective_lineage.generation == 0:
        raise Declined("card")


def refuse(message: Message) -> None:
    raise DeadLetter("never")


def hang_once(message: Message) -> None:
    if message.attempt == 1:
        threading.Event().wait()


def die_once(message: Message) -> None:
    if message.delivery == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def take(message: Message) -> None:
    time.sleep(0.6)


MISDEEDS = {
    "retry once": retry_once,
    "retry soon": retry_soon,
    "always fail": always_fail,
    "decline": decline,
    "refuse": refuse,
    "hang once": hang_once,
    "die once": die_once,
    "take": take,
}


@consumer(ORDERS, key="order_id", fatal=(Declined,))
def order(order: dict[str, Any], message: Message) -> None:
    run(order, message)


@consumer(PARTS, key="order_id")
def part(order: dict[str, Any], message: Message) -> None:
    run(order, message)


@consumer(LINES, key="order_id")
def line(order: dict[str, Any], message: Message) -> None:
    run(order, message)


servicebus.bind(order, app=app)
servicebus.bind(part, app=app, batch=True, hold=0)
servicebus.bind(line, app=app, sessions=True)
