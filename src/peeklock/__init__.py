"""peeklock: one contract for queue-triggered functions, on every cloud."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peeklock.batch import Batch
    from peeklock.consuming.declaration import consumer
    from peeklock.errors import (
        ConfigError,
        DeadLetter,
        EventError,
        InvalidMessage,
        NothingToHandle,
        PeeklockError,
        Redeliver,
        Retry,
        SendError,
        StoreError,
    )
    from peeklock.message import Message
    from peeklock.outcome import Disposition, Outcome, Reason
    from peeklock.platforms.cloudtasks import bind as cloudtasks
    from peeklock.platforms.pubsub import bind as pubsub
    from peeklock.platforms.servicebus import bind as servicebus
    from peeklock.platforms.sqs import bind as sqs
    from peeklock.queue import Queue
    from peeklock.secrets import secret
    from peeklock.sending.send import send
    from peeklock.timing.delays import Seconds

_HOMES = {
    "Batch": "batch",
    "Disposition": "outcome",
    "Message": "message",
    "Outcome": "outcome",
    "Queue": "queue",
    "Reason": "outcome",
    "Seconds": "timing.delays",
    "consumer": "consuming.declaration",
    "secret": "secrets",
    "send": "sending.send",
}
"""Module that defines each name; all errors are in `errors`. Names are loaded on first use, so that infrastructure code that
needs a `Queue` does not import the engine, and a cold start imports only what the function uses."""

_PLATFORMS = ("cloudtasks", "pubsub", "servicebus", "sqs")

__all__ = [
    "Batch",
    "ConfigError",
    "DeadLetter",
    "Disposition",
    "EventError",
    "InvalidMessage",
    "Message",
    "NothingToHandle",
    "Outcome",
    "PeeklockError",
    "Queue",
    "Reason",
    "Redeliver",
    "Retry",
    "Seconds",
    "SendError",
    "StoreError",
    "cloudtasks",
    "consumer",
    "pubsub",
    "secret",
    "send",
    "servicebus",
    "sqs",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'peeklock' has no attribute {name!r}")
    if name in _PLATFORMS:
        value: Any = importlib.import_module(f"peeklock.platforms.{name}.bind")
    else:
        value = getattr(importlib.import_module(f"peeklock.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
