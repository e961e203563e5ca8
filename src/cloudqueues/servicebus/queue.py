"""Queue, subscription or dead-letter queue: its messages, their locks and deliveries. No I/O.

What the states mean: https://learn.microsoft.com/azure/service-bus-messaging/message-transfers-locks-settlement
"""

from __future__ import annotations

import heapq
import itertools
import math
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from cloudqueues.servicebus.context import BrokerContext
from cloudqueues.servicebus.deadlines import Deadlines
from cloudqueues.servicebus.errors import NOT_ALLOWED, Refused, disabled
from cloudqueues.servicebus.ingress import Ingress
from cloudqueues.servicebus.locks import Locks
from cloudqueues.servicebus.message import ACTIVE, DEFERRED, Content, Message
from cloudqueues.servicebus.message_store import MessageStore
from cloudqueues.servicebus.ready_queue import Consumer, ReadyQueue
from cloudqueues.servicebus.sessions import Sessions
from cloudqueues.servicebus.settings import Settings
from cloudqueues.servicebus.timestamps import Timestamps

EXPIRED = ("TTLExpiredException", "The message expired and was dead lettered.")
REORDERED_BY = 8
"""Number of messages that may overtake one that the fault `reorder` hits."""


class Queue:
    """Queue of messages. `dead_letters` is its dead-letter queue; None for a dead-letter queue itself."""

    def __init__(
        self, path: str, settings: Settings, context: BrokerContext, *, dead_letters: Queue | None = None,
        transfer_dead_letters: Queue | None = None, numbers: Iterator[int] | None = None,
    ) -> None:  # fmt: skip
        self.path = path
        self.settings = settings
        self.dead_letters = dead_letters
        self.transfer_dead_letters = transfer_dead_letters
        self._store = MessageStore()
        self.messages = self._store.messages
        self.numbers = numbers or itertools.count(1)
        self.ingress = Ingress(context, settings.duplicate_window, self.numbers, self.arrive)
        self._context = context
        self.timestamps = Timestamps(context)
        self.locks = Locks(context.timeline, self._lock_ended)
        self.sessions = Sessions(self, context) if settings.requires_session else None
        self._ready = ReadyQueue()
        self._expiries = Deadlines[int](context.timeline, self._message_expired)

    @property
    def is_dead_letter_queue(self) -> bool:
        return self.dead_letters is None

    # -- incoming messages

    def check(self, content: Content) -> None:
        """Raise Refused for a message that could never be received here, or while the queue is disabled for sending."""
        if not self.settings.is_sendable:
            raise disabled(self.path)
        if self.sessions is not None and content.session is None:
            raise Refused(
                NOT_ALLOWED,
                "The SessionId was not set on a message, and it cannot be sent to the entity. Entities that have session"
                " support enabled can only receive messages that have the SessionId set to a valid value.",
            )

    def send(self, contents: Sequence[Content]) -> list[int]:
        """Accept all messages or none, and return their sequence numbers."""
        for content in contents:
            self.check(content)
        return [self.ingress.accept(content) for content in contents]

    def arrive(self, message: Message) -> None:
        """Enqueue a message that was sent, became due, was forwarded or was dead-lettered."""
        if self.settings.forward_to is not None:
            self._context.forward(self, message)
            return
        if self.dead_letters is not None:
            self._limit_life(message)
        self._store.add(message)
        self.timestamps.access()
        self._make_ready(message)

    def _limit_life(self, message: Message) -> None:
        """Set the message's expiry from its own time to live or the entity's, whichever is shorter."""
        message_ttl = message.content.ttl
        ttl = min(math.inf if message_ttl is None else message_ttl, self.settings.default_ttl)
        if math.isfinite(ttl):
            if ttl != message_ttl:
                message.content = replace(message.content, ttl=ttl)
            message.expires = message.enqueued + ttl
            self._expiries.set(message.sequence, message.expires)

    def _make_ready(self, message: Message) -> None:
        ready_queue, session, order = self._ready_queue_of(message), message.content.session, message.sequence
        if self.sessions is None and self._context.hits("reorder", message.key, message.delivery_count):
            order += REORDERED_BY
        ready_queue.push(message, order)
        if self.sessions is not None and session is not None:
            self.sessions.mark_available(session)
        self.dispatch(ready_queue)

    # -- deliveries

    def add_consumer(self, consumer: Consumer, session: str | None = None) -> None:
        """Register a consumer that may have credit, and deliver what is ready."""
        ready_queue = self._ready if self.sessions is None or session is None else self.sessions.ready_queue(session)
        ready_queue.consumers[consumer] = None
        self.dispatch(ready_queue)

    def remove_consumer(self, consumer: Consumer) -> None:
        """Deliver nothing more to a consumer. Its locks stay until they end."""
        self._ready.consumers.pop(consumer, None)

    def dispatch(self, ready_queue: ReadyQueue) -> None:
        """Deliver ready messages to the consumers with credit, in turns."""
        while ready_queue.count and ready_queue.consumers:
            consumer = next(iter(ready_queue.consumers))
            del ready_queue.consumers[consumer]
            if consumer.can_receive():
                self._deliver(ready_queue.pop(), consumer)
                ready_queue.consumers[consumer] = None

    def _deliver(self, message: Message, consumer: Consumer) -> None:
        if consumer.destructive:
            self.remove(message)
        else:
            self.lock(message)
        consumer.deliver(message)
        self.timestamps.access()
        self._inject_faults(message)

    def _inject_faults(self, message: Message) -> None:
        """Schedule the faults of a delivery for the next turn of the loop, so that the delivery itself is complete."""
        fault_key, content, token = (message.key, message.delivery_count), message.content, message.token
        if not message.copied and self._context.hits("duplicate", *fault_key):
            self._context.call_soon(lambda: self._duplicate(content))
        if token is not None and self._context.hits("lose_lock", *fault_key):
            self._context.call_soon(lambda: self._lose_lock(token, content.session))

    def _lose_lock(self, token: uuid.UUID, session: str | None) -> None:
        if self.sessions is None or session is None:
            self.locks.end(token)
        else:
            self.sessions.end_lock(session)

    def _duplicate(self, content: Content) -> None:
        message = Message(content, next(self.numbers), self._context.now())
        message.copied = True
        self.arrive(message)

    # -- locks

    def _ready_queue_of(self, message: Message) -> ReadyQueue:
        session = message.content.session
        return self._ready if self.sessions is None or session is None else self.sessions.ready_queue(session)

    def lock_end(self) -> float:
        """Return the end of a lock that is taken now."""
        return self._context.now() + self.settings.lock_duration

    def lock(self, message: Message) -> None:
        if self.sessions is None:
            self.locks.take(message, self.lock_end())
        else:
            self.locks.bind(message, self.sessions.locked_until(message.content.session))
        self._ready_queue_of(message).locked[message.sequence] = message

    def _lock_ended(self, message: Message) -> None:
        self.unlock(message, counted=True)

    def _forget_lock(self, message: Message) -> None:
        if message.token is not None:
            self.locks.forget(message)
            self._ready_queue_of(message).locked.pop(message.sequence, None)

    def unlock(self, message: Message, *, counted: bool) -> None:
        """Return a message to the queue, unless its deliveries are used up or it has expired.

        `counted`: the delivery failed and counts; a dead-letter queue does not count deliveries.
        """
        self._forget_lock(message)
        counted = counted and self.dead_letters is not None
        message.delivery_count += counted
        if counted and message.delivery_count >= self.settings.max_delivery_count:
            text = f"Message could not be consumed after {self.settings.max_delivery_count:.0f} delivery attempts."
            self._dead_letter(message, "MaxDeliveryCountExceeded", text)
        elif message.state != DEFERRED and not self.expire(message):
            self._make_ready(message)

    # -- browsing

    def since(self, start: int, session: str | None = None) -> Iterator[Message]:
        """Return the messages numbered `start` or higher, in that order, scheduled ones included.

        The messages must not change while the iterator is used.
        """
        scheduled = self.ingress.scheduled
        for number in heapq.merge(self._store.since(start, session), self.ingress.since(start, session)):
            yield self.messages[number] if number in self.messages else scheduled[number]

    # -- removal

    def remove(self, message: Message) -> None:
        self._forget_lock(message)
        if message.ready:
            self._ready_queue_of(message).withdraw(message)
            if self.sessions is not None:
                self.sessions.discard_if_empty(message.content.session)
        self._store.remove(message.sequence)
        self._expiries.discard(message.sequence)

    def _dead_letter(self, message: Message, reason: str, description: str) -> None:
        if self.dead_letters is not None:
            changes = {"DeadLetterReason": reason, "DeadLetterErrorDescription": description}
            self.move(message, self.dead_letters, changes)

    def move(self, message: Message, dead_letters: Queue, changes: Mapping[str, object]) -> None:
        """Move a message to a dead-letter queue, with application properties that name the reason."""
        self.remove(message)
        send_dead_letter(message, dead_letters, changes)

    def _message_expired(self, sequence: int) -> None:
        """Expire a message that is ready. A locked message lives until its lock ends, a deferred one until it is received.

        https://learn.microsoft.com/azure/service-bus-messaging/message-expiration
        """
        message = self.messages.get(sequence)
        if message is not None and message.ready:
            self.expire(message)

    def expire(self, message: Message) -> bool:
        """Remove or dead-letter a message that has expired, and return whether it had."""
        is_expired = message.expires <= self._context.now()
        if is_expired and self.settings.dead_letter_expired:
            self._dead_letter(message, *EXPIRED)
        elif is_expired:
            self.remove(message)
        return is_expired


def send_dead_letter(message: Message, dead_letters: Queue, changes: Mapping[str, object]) -> None:
    """Add a message that is in no entity to a dead-letter queue, with the given application properties."""
    message.content = message.content.with_application(changes)
    message.state, message.expires = ACTIVE, math.inf
    dead_letters.arrive(message)
