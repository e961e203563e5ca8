"""What the pytest plugin puts around the emulators."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from typing import Any, Protocol, Self

from cloudqueues.sqs_lambda import SqsLambda
from cloudqueues.sqs_server import REGION, SqsServer


class MovableTime(Protocol):
    """An emulator with a time of its own."""

    def advance(self, seconds: float, /) -> None: ...


class EmulatorClock:
    """Moves the emulators that were added, the last one first: a host renews its locks before the service ends them."""

    def __init__(self) -> None:
        self._emulators: list[MovableTime] = []

    def add(self, emulator: MovableTime) -> None:
        self._emulators.append(emulator)

    def advance(self, seconds: float) -> None:
        for one in reversed(self._emulators):
            one.advance(seconds)


class SqsAndLambda:
    """SQS, and the functions that it triggers, for one test."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._suffix = secrets.token_hex(4)
        self.sqs = SqsServer()

    def __enter__(self) -> Self:
        self._stack.enter_context(self.sqs)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def client(self) -> Any:
        """A boto3 client of SQS."""
        return self.sqs.client

    @property
    def endpoint_url(self) -> str:
        return self.sqs.endpoint_url

    def queue(self, name: str, **attributes: str | int) -> str:
        """Make a queue with its attributes, such as `VisibilityTimeout=2`, and return its URL. It is this test's own:
        something is added to its name. One that ends in `.fifo` is a FIFO queue."""
        stem, fifo, _ = name.partition(".fifo")
        return self.sqs.queue(f"{stem}-{self._suffix}{fifo}", **attributes)

    def function(self, *, queue_url: str, handler: str, **options: Any) -> SqsLambda:
        """Start a function on a queue: `handler` is `module.function`, and `options` are those of `SqsLambda`."""
        function = SqsLambda(queue_url=queue_url, handler=handler, region=REGION, **options)
        return self._stack.enter_context(function)
