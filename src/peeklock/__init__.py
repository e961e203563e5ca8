"""peeklock: one contract for queue-triggered functions, on every cloud."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peeklock.batch import Batch
    from peeklock.declare import consumer
    from peeklock.delays import Seconds
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
    from peeklock.queue import Queue
    from peeklock.sending import send

_HOMES = {
    "Batch": "batch",
    "Disposition": "outcome",
    "Message": "message",
    "Outcome": "outcome",
    "Queue": "queue",
    "Reason": "outcome",
    "Seconds": "delays",
    "consumer": "declare",
    "send": "sending",
}
"""Where each name is defined, but for the errors. It is loaded with its first use: infrastructure that needs a `Queue`
does not pay for an engine, and a cold function not for what it never calls."""

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
    "consumer",
    "send",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'peeklock' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"peeklock.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
