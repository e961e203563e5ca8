"""Events that run in a process of their own, and tell how they ended and how long they took.

The SDKs are imported with this module, before any clock is read: a function that is warm has them, too.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import boto3  # noqa: F401 - imported for the clock, as the module's text says
import google.cloud.firestore_v1
import google.cloud.pubsub_v1
import google.cloud.tasks_v2  # noqa: F401 - as boto3
import requests  # noqa: F401 - as boto3

from peeklock import DeadLetter, Queue, consumer, sqs
from peeklock.observe import Settled
from peeklock.stores.memory import MemoryStore

LIMIT = 3.5
"""Seconds that the platform leaves an event: the handler's time-out, the reserve, and little more."""

NAMES = ".unresolved.test"
"""Host names whose look-up never ends."""

QUEUE = Queue("orders", max_attempts=3, timeout=1, first_delay=2)


class Watch:
    """Remembers reasons by message id, and the names of what was logged."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}
        self.logged: list[str] = []

    def running(self, _: object, /) -> None:
        return None

    def settled(self, _: str, settled: Sequence[Settled], /) -> None:
        self.reasons.update({one.message.native_id: one.outcome.reason.value for one in settled})


class Noting(logging.Handler):
    """Keeps the event's name of each record."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch

    def emit(self, record: logging.LogRecord) -> None:
        self.watch.logged.append(str(record.msg).partition(" ")[0])


class Scene:
    """One event: a handler that does what its message says, its answer, and its time."""

    def __init__(self) -> None:
        self.watch = Watch()
        self.ran: list[str] = []
        logging.getLogger("peeklock").addHandler(Noting(self.watch))

        @consumer(QUEUE)
        def handle(payload: dict) -> None:  # type: ignore[type-arg] # the bare annotation is the documented one
            self.ran.append(payload["what"])
            if payload["what"] == "fatal":
                raise DeadLetter("on purpose")
            if payload["what"] == "fails":
                raise ValueError("on purpose")

        self.handle = handle

    def time(self, act: Callable[[], object]) -> dict[str, Any]:
        """What `act` answers or raises, and all that was noticed meanwhile."""
        began = time.monotonic()
        try:
            answer = act()
        except Exception as exc:  # noqa: BLE001 - an answer as well: the host listens to it
            answer = type(exc).__name__
        seconds = time.monotonic() - began
        return {
            "seconds": seconds,
            "answer": answer,
            "ran": self.ran,
            "reasons": self.watch.reasons,
            "logged": self.watch.logged,
        }


class Context:
    """Lambda's, as far as time goes."""

    def __init__(self, seconds: float = LIMIT) -> None:
        self.end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int((self.end - time.monotonic()) * 1000)


def never_resolve() -> None:
    """Let the look-up of some names hang, as with a name server that is gone. The system's own resolver asks a name server
    only where the system says which, so it is the function above it that hangs."""
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *rest: Any, **more: Any) -> Any:
        text = host.decode() if isinstance(host, bytes) else str(host)
        if text.endswith(NAMES):
            threading.Event().wait()
        return resolve(host, *rest, **more)

    socket.getaddrinfo = getaddrinfo


def sqs_event(whats: Sequence[str]) -> dict[str, Any]:
    records = [
        {
            "messageId": f"{what}-{n}",
            "receiptHandle": f"handle-{n}",
            "body": json.dumps({"what": what}),
            "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1764500000000"},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:orders",
            "awsRegion": "eu-west-1",
        }
        for n, what in enumerate(whats)
    ]
    return {"Records": records}


def on_sqs(whats: Sequence[str], options: Mapping[str, Any], *, memory: bool = True) -> dict[str, Any]:
    """An SQS event with LIMIT seconds left. `memory`: with a store in memory; else the environment's."""
    never_resolve()
    scene = Scene()
    store = {"store": MemoryStore()} if memory else {}
    handler = sqs.bind(scene.handle, observer=scene.watch, **store, **options)
    event = sqs_event(whats)
    told = scene.time(lambda: handler(event, Context()))
    if isinstance(told["answer"], dict):
        told["answer"] = [one["itemIdentifier"] for one in told["answer"]["batchItemFailures"]]
    return told
