"""One queue, subscription or dead-letter queue: its messages, who holds them, and what becomes of them. No I/O.

What the states mean: https://learn.microsoft.com/azure/service-bus-messaging/message-transfers-locks-settlement
"""

from __future__ import annotations

import heapq
import itertools
import math
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from cloudqueues.servicebus.deadlines import Deadlines
from cloudqueues.servicebus.errors import NOT_ALLOWED, Refused, disabled
from cloudqueues.servicebus.intake import Intake
from cloudqueues.servicebus.lane import Consumer, Lane
from cloudqueues.servicebus.locks import Locks
from cloudqueues.servicebus.message import ACTIVE, DEFERRED, Content, Message
from cloudqueues.servicebus.sessions import Sessions
from cloudqueues.servicebus.shelf import Shelf
from cloudqueues.servicebus.times import Times
from cloudqueues.servicebus.world import Settings, World

EXPIRED = ("TTLExpiredException", "The message expired and was dead lettered.")
REORDERED_BY = 8
"""Messages that may go before one that the fault `reorder` hits."""


class Queue:
    """`letters`: where dead-lettered messages go; None for a dead-letter queue itself."""

    def __init__(
        self, path: str, settings: Settings, world: World, *, letters: Queue | None = None,
        transfer_letters: Queue | None = None, numbers: Iterator[int] | None = None,
    ) -> None:  # fmt: skip
        self.path = path
        self.settings = settings
        self.letters = letters
        self.transfer_letters = transfer_letters
        self._shelf = Shelf()
        self.messages = self._shelf.messages
        self.numbers = numbers or itertools.count(1)
        self.intake = Intake(world, settings.duplicate_window, self.numbers, self.arrive)
        self._world = world
        self.times = Times(world)
        self.locks = Locks(world.timeline, self._lock_ended)
        self.sessions = Sessions(self, world) if settings.requires_session else None
        self._lane = Lane()
        self._expiries = Deadlines[int](world.timeline, self._time_is_up)

    # -- messages come in

    def check(self, content: Content) -> None:
        """Raises Refused for a message that can never be received here, and while the queue takes none."""
        if not self.settings.is_sendable:
            raise disabled(self.path)
        if self.sessions is not None and content.session is None:
            raise Refused(
                NOT_ALLOWED,
                "The SessionId was not set on a message, and it cannot be sent to the entity. Entities that have session"
                " support enabled can only receive messages that have the SessionId set to a valid value.",
            )

    def send(self, contents: Sequence[Content]) -> list[int]:
        """All of them, or none. Their sequence numbers."""
        for content in contents:
            self.check(content)
        return [self.intake.accept(content) for content in contents]

    def arrive(self, message: Message) -> None:
        """It is here now: sent, due, forwarded or dead-lettered."""
        if self.settings.forward_to is not None:
            self._world.forward(self, message)
            return
        if self.letters is not None:
            self._limit_life(message)
        self._shelf.add(message)
        self.times.access()
        self._make_ready(message)

    def _limit_life(self, message: Message) -> None:
        """By its own time to live or the entity's, whichever is shorter."""
        given = message.content.ttl
        ttl = min(math.inf if given is None else given, self.settings.default_ttl)
        if math.isfinite(ttl):
            if ttl != given:
                message.content = replace(message.content, ttl=ttl)
            message.expires = message.enqueued + ttl
            self._expiries.set(message.sequence, message.expires)

    def _make_ready(self, message: Message) -> None:
        lane, session, order = self._lane_of(message), message.content.session, message.sequence
        if self.sessions is None and self._world.hits("reorder", message.key, message.delivery_count):
            order += REORDERED_BY
        lane.push(message, order)
        if self.sessions is not None and session is not None:
            self.sessions.offer(session)
        self.pump(lane)

    # -- messages go out

    def feed(self, consumer: Consumer, session: str | None = None) -> None:
        """A consumer may be hungry."""
        lane = self._lane if self.sessions is None or session is None else self.sessions.lane(session)
        lane.hungry[consumer] = None
        self.pump(lane)

    def leave(self, consumer: Consumer) -> None:
        """Its locks stay until they end."""
        self._lane.hungry.pop(consumer, None)

    def pump(self, lane: Lane) -> None:
        """As many as there are, to as many as want one, in turns."""
        while lane.count and lane.hungry:
            consumer = next(iter(lane.hungry))
            del lane.hungry[consumer]
            if consumer.hungry():
                self._hand(lane.pop(), consumer)
                lane.hungry[consumer] = None

    def _hand(self, message: Message, consumer: Consumer) -> None:
        if consumer.destructive:
            self.drop(message)
        else:
            self.lock(message)
        consumer.deliver(message)
        self.times.access()
        self._strike(message)

    def _strike(self, message: Message) -> None:
        """The faults of a delivery. They come later, so that the delivery itself is a whole one."""
        what, content, token = (message.key, message.delivery_count), message.content, message.token
        if not message.copied and self._world.hits("duplicate", *what):
            self._world.soon(lambda: self._copy(content))
        if token is not None and self._world.hits("lose_lock", *what):
            self._world.soon(lambda: self._lose(token, content.session))

    def _lose(self, token: uuid.UUID, session: str | None) -> None:
        if self.sessions is None or session is None:
            self.locks.end(token)
        else:
            self.sessions.end(session)

    def _copy(self, content: Content) -> None:
        message = Message(content, next(self.numbers), self._world.now())
        message.copied = True
        self.arrive(message)

    # -- locks

    def _lane_of(self, message: Message) -> Lane:
        session = message.content.session
        return self._lane if self.sessions is None or session is None else self.sessions.lane(session)

    def lock_end(self) -> float:
        """Of a lock that is taken now."""
        return self._world.now() + self.settings.lock_duration

    def lock(self, message: Message) -> None:
        if self.sessions is None:
            self.locks.take(message, self.lock_end())
        else:
            self.locks.bind(message, self.sessions.until(message.content.session))
        self._lane_of(message).held[message.sequence] = message

    def _lock_ended(self, message: Message) -> None:
        self.unlock(message, counted=True)

    def _forget_lock(self, message: Message) -> None:
        if message.token is not None:
            self.locks.forget(message)
            self._lane_of(message).held.pop(message.sequence, None)

    def unlock(self, message: Message, *, counted: bool) -> None:
        """It comes back, unless its deliveries or its life are over. `counted`: the delivery came to nothing, which a
        dead-letter queue does not count."""
        self._forget_lock(message)
        counted = counted and self.letters is not None
        message.delivery_count += counted
        if counted and message.delivery_count >= self.settings.max_delivery_count:
            text = f"Message could not be consumed after {self.settings.max_delivery_count:.0f} delivery attempts."
            self._bury(message, "MaxDeliveryCountExceeded", text)
        elif message.state != DEFERRED and not self.expired(message):
            self._make_ready(message)

    # -- a look at them

    def since(self, start: int, session: str | None = None) -> Iterator[Message]:
        """Return all that are numbered `start` or higher, in that order, scheduled ones too. They must not change
        meanwhile."""
        scheduled = self.intake.scheduled
        for number in heapq.merge(self._shelf.since(start, session), self.intake.since(start, session)):
            yield self.messages[number] if number in self.messages else scheduled[number]

    # -- the end of a message

    def drop(self, message: Message) -> None:
        self._forget_lock(message)
        if message.ready:
            self._lane_of(message).withdraw(message)
            if self.sessions is not None:
                self.sessions.spent(message.content.session)
        self._shelf.remove(message.sequence)
        self._expiries.discard(message.sequence)

    def _bury(self, message: Message, reason: str, description: str) -> None:
        if self.letters is not None:
            changes = {"DeadLetterReason": reason, "DeadLetterErrorDescription": description}
            self.move(message, self.letters, changes)

    def move(self, message: Message, letters: Queue, changes: Mapping[str, object]) -> None:
        """To a dead-letter queue, with application properties that say why."""
        self.drop(message)
        send_letter(message, letters, changes)

    def _time_is_up(self, sequence: int) -> None:
        """A locked message lives on until its lock ends, a deferred one until it is asked for.

        https://learn.microsoft.com/azure/service-bus-messaging/message-expiration
        """
        message = self.messages.get(sequence)
        if message is not None and message.ready:
            self.expired(message)

    def expired(self, message: Message) -> bool:
        """Whether its life was over; then it is gone."""
        over = message.expires <= self._world.now()
        if over and self.settings.dead_letter_expired:
            self._bury(message, *EXPIRED)
        elif over:
            self.drop(message)
        return over


def send_letter(message: Message, letters: Queue, changes: Mapping[str, object]) -> None:
    """A message that is in no entity any more."""
    message.content = message.content.with_application(changes)
    message.state, message.expires = ACTIVE, math.inf
    letters.arrive(message)
