"""Message locks of an entity."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from cloudqueues.servicebus.deadlines import Deadlines
from cloudqueues.servicebus.errors import LOCK_LOST, Refused
from cloudqueues.servicebus.message import Message
from cloudqueues.timeline import Timeline


class Locks:
    """Locks by token. `ended` is called with a message whose lock has expired; it must forget the lock."""

    def __init__(self, timeline: Timeline, ended: Callable[[Message], None]) -> None:
        self._messages: dict[uuid.UUID, Message] = {}
        self._ends = Deadlines[bytes](timeline, self._end)
        self._ended = ended

    def take(self, message: Message, until: float) -> None:
        """Lock a message until `until`."""
        self.bind(message, until)
        self.extend(message, until)

    def bind(self, message: Message, until: float) -> None:
        """Lock a message with the lock of its session, which ends it."""
        message.token, message.locked_until = uuid.uuid4(), until
        self._messages[message.token] = message

    def extend(self, message: Message, until: float) -> None:
        if message.token is not None:
            message.locked_until = until
            self._ends.set(message.token.bytes, until)

    def find(self, token: uuid.UUID) -> Message:
        """Return the message of a lock. Raises Refused when the lock does not exist or has ended."""
        message = self._messages.get(token)
        if message is None:
            raise Refused(
                LOCK_LOST,
                "The lock supplied is invalid. Either the lock expired, or the message has already been removed from"
                " the queue.",
            )
        return message

    def forget(self, message: Message) -> None:
        """Remove a message's lock, if it has one."""
        if message.token is not None:
            del self._messages[message.token]
            self._ends.discard(message.token.bytes)
            message.token = None

    def end(self, token: uuid.UUID) -> None:
        """End a lock now, if it exists."""
        self._end(token.bytes)

    def _end(self, token: bytes) -> None:
        message = self._messages.get(uuid.UUID(bytes=token))
        if message is not None:
            self._ended(message)
