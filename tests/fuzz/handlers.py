"""Consumers of every kind whose luck the seed decides, and what they did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from peeklock import Batch, DeadLetter, Message, Queue, Retry, consumer


class Declined(Exception):
    """Exception that the handlers declare as fatal."""


class Unspeakable(Exception):
    """Has no text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@dataclass
class Order:
    """Order that the typed handlers take."""

    order_id: str
    cents: int
    currency: str = "EUR"


class Fate:
    """Outcome of each run, drawn by the event's own seed, and the runs that succeeded."""

    def __init__(self) -> None:
        self.random = Random()
        self.successes: list[str] = []
        self.runs = 0

    def reset(self, seed: int) -> None:
        self.random.seed(seed)
        self.successes, self.runs = [], 0

    def draw(self) -> BaseException | None:
        """Return the exception to raise; None for success."""
        self.runs += 1
        kind = self.random.randrange(20)
        if kind < 8:
            return None
        return self.random.choice(FAILURES)()

    def run(self, message: Message) -> None:
        error = self.draw()
        if error is not None:
            raise error
        self.successes.append(message.id)


FAILURES: tuple[Callable[[], BaseException], ...] = (
    ValueError,
    lambda: ValueError("x" * 5000),
    lambda: ValueError("ünï" * 1000),
    lambda: ValueError("half a surrogate: \ud83d"),
    lambda: ValueError("\u0000\r\n\u001b[31m disposition=complete"),
    lambda: Declined("no"),
    lambda: Declined("\ud83d" + "é" * 3000),
    lambda: DeadLetter("because"),
    lambda: Retry(after=30),
    lambda: Retry(after=90_000),
    lambda: Retry(counts=False),
    lambda: Retry(after=0.2, counts=False),
    Unspeakable,
    lambda: SystemExit(1),
    lambda: ExceptionGroup("several", [Declined("no"), ValueError()]),
    ConnectionError,
)

FATE = Fate()


def queue(**declared: Any) -> Queue:
    return Queue("orders", **{"max_attempts": 3, "timeout": 30, **declared})


@consumer(queue(), fatal=(Declined,))
def of_dict(payload: dict, message: Message) -> None:  # type: ignore[type-arg] # the bare annotation is the documented one
    FATE.run(message)


@consumer(queue(), fatal=(Declined,))
async def of_dict_async(payload: dict, message: Message) -> None:  # type: ignore[type-arg] # as above
    FATE.run(message)


@consumer(queue(), key="order_id", fatal=(Declined,))
def keyed(order: Order, message: Message) -> None:
    FATE.run(message)


@consumer(queue(max_age=86_400), key="order_id", check_body=True, fatal=(Declined,))
async def keyed_async(order: Order, message: Message) -> None:
    FATE.run(message)


@consumer(queue(), fatal=(Declined,))
def of_bytes(body: bytes, message: Message) -> None:
    FATE.run(message)


@consumer(queue(), keep_result=True, fatal=(Declined,))
def of_text(body: str, message: Message) -> str:
    FATE.run(message)
    return body[:10]


@consumer(queue(max_attempts=1), fatal=(Declined,))
def never_again(payload: dict, message: Message) -> None:  # type: ignore[type-arg] # as above
    FATE.run(message)


@consumer(queue(), fatal=(Declined,))
def of_batches(orders: Batch[Order]) -> dict[str, BaseException] | None:
    failures = {}
    for message in orders.messages:
        error = FATE.draw()
        if error is None:
            FATE.successes.append(message.id)
        else:
            failures[message.id] = error
    return failures


@consumer(queue(fifo=True), fatal=(Declined,))
def in_order(payload: dict, message: Message) -> None:  # type: ignore[type-arg] # as above
    FATE.run(message)
