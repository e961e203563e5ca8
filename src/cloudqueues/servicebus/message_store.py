"""Messages by sequence number, ordered over all and by session, so that a page is found without scanning."""

from __future__ import annotations

from collections.abc import Iterator

from cloudqueues.ordered import Ordered
from cloudqueues.servicebus.message import Message


class MessageStore:
    """Store of messages. Read `messages`; change it by `add` and `remove`."""

    __slots__ = ("_all", "_of_session", "messages")

    def __init__(self) -> None:
        self.messages: dict[int, Message] = {}
        self._all = Ordered[int]()
        self._of_session: dict[str, Ordered[int]] = {}

    def add(self, message: Message) -> None:
        self.messages[message.sequence] = message
        for order in self._orders(message):
            order.add(message.sequence)

    def remove(self, sequence: int) -> Message:
        """Remove and return the message with a sequence number. Raises KeyError where there is none."""
        message = self.messages.pop(sequence)
        for order in self._orders(message):
            order.remove(sequence)
        session = message.content.session
        if session is not None and not self._of_session[session]:
            del self._of_session[session]
        return message

    def _orders(self, message: Message) -> list[Ordered[int]]:
        session = message.content.session
        return [self._all] if session is None else [self._all, self._of_session.setdefault(session, Ordered[int]())]

    def since(self, start: int, session: str | None = None) -> Iterator[int]:
        """Return the sequence numbers from `start` on, of one session or (None) of all messages."""
        order = self._all if session is None else self._of_session.get(session, Ordered[int]())
        return order.since(start)
