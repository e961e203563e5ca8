"""Ingress of an entity: duplicate detection and scheduled messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from cloudqueues.servicebus.context import BrokerContext
from cloudqueues.servicebus.deadlines import Deadlines
from cloudqueues.servicebus.errors import NO_MESSAGE, Refused
from cloudqueues.servicebus.message import ACTIVE, SCHEDULED, Content, Message
from cloudqueues.servicebus.message_store import MessageStore


class Ingress:
    """Ingress of one entity, which passes messages to `arrive` when they are due."""

    def __init__(
        self, context: BrokerContext, window: float, numbers: Iterator[int], arrive: Callable[[Message], None]
    ) -> None:
        self._store = MessageStore()
        self.scheduled = self._store.messages
        self._context = context
        self.window = window
        """Seconds for which a message id is remembered; 0 disables duplicate detection."""
        self._numbers = numbers
        self._arrive = arrive
        self._due = Deadlines[int](context.timeline, self._activate)
        self._ids: set[str] = set()
        self._forget = Deadlines[str](context.timeline, self._ids.discard)

    def accept(self, content: Content, origin: Message | None = None) -> int:
        """Accept a message and return its sequence number. A duplicate gets a number too, and is then dropped, as in
        the service."""
        message = Message(content, next(self._numbers), self._context.now())
        if origin is not None:
            message.first_sequence = origin.first_sequence or origin.sequence
            message.source, message.hops = origin.source, origin.hops + 1
        if not self._repeated(content.id):
            self._admit(message)
        return message.sequence

    def _admit(self, message: Message) -> None:
        due = message.content.due
        when = 0.0 if due is None else due + self._context.clock_offset
        if when <= self._context.now():
            self._arrive(message)
        else:
            message.state = SCHEDULED
            self._store.add(message)
            self._due.set(message.sequence, when)

    def _repeated(self, id: str | None) -> bool:  # noqa: A002 - the field's word
        """Return whether an id was seen before:
        https://learn.microsoft.com/azure/service-bus-messaging/duplicate-detection"""
        if not self.window or id is None:
            return False
        is_repeated = id in self._ids
        if not is_repeated:
            self._ids.add(id)
            self._forget.set(id, self._context.now() + self.window)
        return is_repeated

    def _activate(self, sequence: int) -> None:
        """Enqueue a scheduled message as if it were sent now, with a new sequence number.

        https://learn.microsoft.com/azure/service-bus-messaging/message-sequencing
        """
        message = self._store.remove(sequence)
        message.sequence = next(self._numbers)
        message.enqueued, message.state = self._context.now(), ACTIVE
        self._arrive(message)

    def cancel(self, sequences: Sequence[int]) -> None:
        """Cancel all scheduled messages or none: raises Refused when one is not scheduled."""
        if missing := [sequence for sequence in sequences if sequence not in self.scheduled]:
            raise Refused(NO_MESSAGE, f"no scheduled message has the sequence number {missing[0]}")
        for sequence in dict.fromkeys(sequences):
            self._store.remove(sequence)
            self._due.discard(sequence)

    def since(self, start: int, session: str | None = None) -> Iterator[int]:
        """Return the sequence numbers of scheduled messages from `start` on."""
        return self._store.since(start, session)
