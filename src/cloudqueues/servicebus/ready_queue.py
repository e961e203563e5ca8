"""Messages that are ready for delivery, and the consumers that wait for them.

A queue has one ready queue; with sessions there is one for each session.
"""

from __future__ import annotations

import heapq
from typing import Protocol

from cloudqueues.servicebus.errors import AmqpError
from cloudqueues.servicebus.message import Message
from cloudqueues.timeline import SPARE


class Consumer(Protocol):
    """Receiver of messages."""

    @property
    def destructive(self) -> bool:
        """True if a message is deleted when it is delivered (receive-and-delete)."""
        ...

    def can_receive(self) -> bool:
        """Return whether the consumer has credit for another message."""
        ...

    def deliver(self, message: Message) -> None: ...

    def close_with(self, error: AmqpError) -> None:
        """End the consumer with an error; it receives nothing more."""
        ...


class ReadyQueue:
    """Priority queue of ready messages, with the consumers that take them in turn."""

    __slots__ = ("_heap", "_ready", "consumers", "locked")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Message]] = []  # may hold messages that left `_ready`; `pop` skips them
        self._ready: set[Message] = set()
        self.consumers: dict[Consumer, None] = {}
        """Consumers that may have credit, in the order of their turns."""
        self.locked: dict[int, Message] = {}
        """Locked messages by sequence number."""

    @property
    def count(self) -> int:
        """Number of ready messages."""
        return len(self._ready)

    def push(self, message: Message, order: float) -> None:
        """Add a message; messages leave by `order`, then by sequence number."""
        message.ready = True
        self._ready.add(message)
        heapq.heappush(self._heap, (order, message.sequence, message))

    def pop(self) -> Message:
        """Remove and return the first message. Call only while `count` is not 0."""
        while True:
            message = heapq.heappop(self._heap)[2]
            if message in self._ready:
                self.withdraw(message)
                return message

    def withdraw(self, message: Message) -> None:
        """Remove a message that is no longer ready."""
        message.ready = False
        self._ready.remove(message)
        if len(self._heap) > 2 * len(self._ready) + SPARE:
            self._heap = [entry for entry in self._heap if entry[2] in self._ready]
            heapq.heapify(self._heap)
