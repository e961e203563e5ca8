"""Messages that are ready, and who wants one: a queue has one lane, and with sessions one for each."""

from __future__ import annotations

import heapq
from typing import Protocol

from cloudqueues.servicebus.deadlines import SPARE
from cloudqueues.servicebus.errors import AmqpError
from cloudqueues.servicebus.message import Message


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
    __slots__ = ("_heap", "_ready", "held", "hungry")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Message]] = []  # also messages that are not in `_ready`: `pop` skips them
        self._ready: set[Message] = set()
        self.hungry: dict[Consumer, None] = {}
        """In turns."""
        self.held: dict[int, Message] = {}
        """The locked messages, by sequence number."""

    @property
    def count(self) -> int:
        """Messages that are ready."""
        return len(self._ready)

    def push(self, message: Message, order: float) -> None:
        message.ready = True
        self._ready.add(message)
        heapq.heappush(self._heap, (order, message.sequence, message))

    def pop(self) -> Message:
        """The first. Only while `count` is not 0."""
        while True:
            message = heapq.heappop(self._heap)[2]
            if message in self._ready:
                self.withdraw(message)
                return message

    def withdraw(self, message: Message) -> None:
        """It is ready no more."""
        message.ready = False
        self._ready.remove(message)
        if len(self._heap) > 2 * len(self._ready) + SPARE:
            self._heap = [entry for entry in self._heap if entry[2] in self._ready]
            heapq.heapify(self._heap)
