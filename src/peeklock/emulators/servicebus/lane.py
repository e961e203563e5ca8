"""Messages that are ready, and who wants one: a queue has one lane, and with sessions one for each."""

from __future__ import annotations

import heapq
from typing import Protocol

from peeklock.emulators.servicebus.errors import AmqpError
from peeklock.emulators.servicebus.message import Message


class Consumer(Protocol):
    """A receiver's link."""

    @property
    def destructive(self) -> bool:
        """Whether a message is gone once it is delivered."""
        ...

    def hungry(self) -> bool:
        """Whether it takes a message now."""
        ...

    def deliver(self, message: Message) -> None: ...

    def lost(self, error: AmqpError) -> None:
        """It gets nothing any more."""
        ...


class Lane:
    __slots__ = ("_heap", "count", "held", "hungry")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Message]] = []  # also messages that are ready no more: `pop` skips them
        self.count = 0
        """Messages that are ready."""
        self.hungry: dict[Consumer, None] = {}
        """In turns."""
        self.held: dict[int, Message] = {}
        """The locked messages, by sequence number."""

    def push(self, message: Message, order: float) -> None:
        message.ready = True
        self.count += 1
        heapq.heappush(self._heap, (order, message.sequence, message))

    def pop(self) -> Message:
        """The first. Only while `count` is not 0."""
        while True:
            message = heapq.heappop(self._heap)[2]
            if message.ready:
                self.withdraw(message)
                return message

    def withdraw(self, message: Message) -> None:
        """It is ready no more."""
        message.ready = False
        self.count -= 1
        if not self.count:
            self._heap.clear()
