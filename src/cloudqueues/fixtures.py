"""Objects that fixtures of the pytest plugin return."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from typing import Any, Protocol, Self

from cloudqueues.sqs_lambda import SqsLambda
from cloudqueues.sqs_server import REGION, SqsServer


class MovableTime(Protocol):
    """Emulator whose time can be moved forward."""

    def advance(self, seconds: float, /) -> None: ...


class EmulatorClock:
    """Moves the time of the emulators that were added, the last one first: a Functions host must renew its locks before the
    service ends them."""

    def __init__(self) -> None:
        self._emulators: list[MovableTime] = []

    def add(self, emulator: MovableTime) -> None:
        self._emulators.append(emulator)

    def advance(self, seconds: float) -> None:
        for emulator in reversed(self._emulators):
            emulator.advance(seconds)


class SqsAndLambda:
    """SQS and the functions on its queues, for one test."""

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
        """Client of SQS, boto3's."""
        return self.sqs.client

    @property
    def endpoint_url(self) -> str:
        return self.sqs.endpoint_url

    def queue(self, name: str, **attributes: str | int) -> str:
        """Create a queue with attributes, such as `VisibilityTimeout=2`, and return its URL.

        A suffix makes the name unique to the test. A name that ends in `.fifo` creates a FIFO queue.
        """
        stem, fifo, _ = name.partition(".fifo")
        return self.sqs.queue(f"{stem}-{self._suffix}{fifo}", **attributes)

    def function(self, *, queue_url: str, handler: str, **options: Any) -> SqsLambda:
        """Start a function on a queue: `handler` is `module.function`, and `options` are those of `SqsLambda`."""
        function = SqsLambda(queue_url=queue_url, handler=handler, region=REGION, **options)
        return self._stack.enter_context(function)
