"""peeklock: one contract for queue-triggered functions, on every cloud."""

from peeklock.batch import Batch
from peeklock.consumer import consumer
from peeklock.delays import Seconds
from peeklock.errors import (
    ConfigError,
    DeadLetter,
    EventError,
    InvalidMessage,
    PeeklockError,
    Redeliver,
    Retry,
    SendError,
    StoreError,
)
from peeklock.message import Message
from peeklock.outcome import Disposition, Outcome, Reason
from peeklock.queue import Queue
from peeklock.send import send

__all__ = [
    "Batch",
    "ConfigError",
    "DeadLetter",
    "Disposition",
    "EventError",
    "InvalidMessage",
    "Message",
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
