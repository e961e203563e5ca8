"""Sessions of a queue: their locks, their states, and the consumers that wait for one.

https://learn.microsoft.com/azure/service-bus-messaging/message-sessions
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cloudqueues.servicebus.context import BrokerContext
from cloudqueues.servicebus.deadlines import Deadlines
from cloudqueues.servicebus.errors import SESSION_LOST, SESSION_TAKEN, TIMEOUT, Refused
from cloudqueues.servicebus.message import Message
from cloudqueues.servicebus.ready_queue import Consumer, ReadyQueue
from cloudqueues.servicebus.settings import Settings
from cloudqueues.timeline import Timer

Accepted = Callable[[str, float], None]
"""Called with the session's id and the time at which its lock ends."""


class SessionQueue(Protocol):
    """Queue that the sessions belong to."""

    @property
    def settings(self) -> Settings: ...

    def unlock(self, message: Message, *, counted: bool) -> None: ...


@dataclass(slots=True)
class SessionLock:
    """Lock of a session, until a time of the broker."""

    consumer: Consumer
    until: float


@dataclass(frozen=True, slots=True)
class SessionState:
    """State of a session and the time at which it was set."""

    data: bytes
    since: float


class Sessions:
    """Locks and states of the sessions of one queue."""

    def __init__(self, queue: SessionQueue, context: BrokerContext) -> None:
        self.states: dict[str, SessionState] = {}
        self._queue = queue
        self._context = context
        self._ready_queues: dict[str, ReadyQueue] = {}
        self._locks: dict[str, SessionLock] = {}
        self._free: dict[str, None] = {}  # sessions with messages and without a lock, the longest free one first
        self._waiting: dict[Consumer, tuple[Accepted, Timer]] = {}
        self._ends = Deadlines[str](context.timeline, self._lock_ended)

    def ready_queue(self, session: str) -> ReadyQueue:
        return self._ready_queues.setdefault(session, ReadyQueue())

    def locked_until(self, session: str | None) -> float:
        """Return when the session's lock ends, which also locks its messages; 0 where it is not locked."""
        return self._locks[session].until if session in self._locks else 0.0

    # -- locks

    def accept(self, consumer: Consumer, wanted: str | None, wait: float, accepted: Accepted) -> None:
        """Lock the wanted session, or (None) the next free one within `wait` seconds, and call `accepted`.

        `accepted` may be called later. Raises Refused when the wanted session is locked already.
        """
        if wanted in self._locks:
            raise Refused(
                SESSION_TAKEN,
                f"The requested session '{wanted}' cannot be accepted. It may be locked by another receiver.",
            )
        session = wanted if wanted is not None else self._next()
        if session is not None:
            self._lock(session, consumer, accepted)
        else:
            timer = self._context.timeline.after(wait, lambda: self._wait_over(consumer))
            self._waiting[consumer] = (accepted, timer)

    def _next(self) -> str | None:
        return next(iter(self._free), None)

    def _lock(self, session: str, consumer: Consumer, accepted: Accepted) -> None:
        self._free.pop(session, None)
        until = self._context.now() + self._queue.settings.lock_duration
        self._locks[session] = SessionLock(consumer, until)
        self._ends.set(session, until)
        accepted(session, until)

    def _wait_over(self, consumer: Consumer) -> None:
        del self._waiting[consumer]
        consumer.close_with(
            Refused(TIMEOUT, "The operation did not complete within the allotted time: no session was available.")
        )

    def mark_available(self, session: str) -> None:
        """Offer a session with a ready message to the consumer that waits longest."""
        if session in self._locks:
            return
        if self._waiting:
            consumer = next(iter(self._waiting))
            accepted, timer = self._waiting.pop(consumer)
            timer.cancel()
            self._lock(session, consumer, accepted)
        else:
            self._free[session] = None

    def discard_if_empty(self, session: str | None) -> None:
        """Forget a session whose last message was removed before it was delivered."""
        if session is not None and session not in self._locks and not self.ready_queue(session).count:
            self._free.pop(session, None)
            self._ready_queues.pop(session, None)

    def release(self, consumer: Consumer, session: str | None) -> None:
        """End the consumer's wait and free the session that it holds, without counting its deliveries.

        https://learn.microsoft.com/azure/service-bus-messaging/message-sessions#impact-of-delivery-count
        """
        if consumer in self._waiting:
            self._waiting.pop(consumer)[1].cancel()
        lock = self._locks.get(session) if session is not None else None
        if session is not None and lock is not None and lock.consumer is consumer:
            self._unlock(session, counted=False)

    def end_lock(self, session: str) -> None:
        """End the session's lock now, if it is locked."""
        if session in self._locks:
            self._lock_ended(session)

    def _lock_ended(self, session: str) -> None:
        """Unlock the session and detach its consumer.

        A receive-and-delete consumer keeps its session while its link is open, since it has no lock to lose
        (`..._receive_handler_receiveanddelete` of the SDK's tests).
        """
        consumer = self._locks[session].consumer
        if consumer.destructive:
            self.renew(session)
            return
        self._unlock(session, counted=True)
        text = "The session lock has expired on the MessageSession. Accept a new MessageSession."
        consumer.close_with(Refused(SESSION_LOST, text))

    def _unlock(self, session: str, *, counted: bool) -> None:
        """Return unsettled deliveries to the queue in their order, then free the session."""
        ready_queue = self.ready_queue(session)
        ready_queue.consumers.clear()
        for message in list(ready_queue.locked.values()):
            self._queue.unlock(message, counted=counted)
        del self._locks[session]
        self._ends.discard(session)
        if ready_queue.count:
            self.mark_available(session)
        else:
            del self._ready_queues[session]

    def renew(self, session: str) -> float:
        """Renew the session's lock and return its new end. Raises Refused when it is not locked."""
        lock = self.require_lock(session)
        lock.until = self._context.now() + self._queue.settings.lock_duration
        self._ends.set(session, lock.until)
        return lock.until

    def require_lock(self, session: str) -> SessionLock:
        """Return the session's lock. Raises Refused when it is not locked."""
        lock = self._locks.get(session)
        if lock is None:
            raise Refused(SESSION_LOST, f"The session '{session}' is not locked. Its lock may have expired.")
        return lock

    # -- states

    def state(self, session: str) -> bytes | None:
        """Return the session's state. Raises Refused when it is not locked."""
        self.require_lock(session)
        state = self.states.get(session)
        return None if state is None else state.data

    def set_state(self, session: str, data: bytes | None) -> None:
        """Set the session's state, or remove it (None). Raises Refused when it is not locked."""
        self.require_lock(session)
        if data is None:
            self.states.pop(session, None)
        else:
            self.states[session] = SessionState(data, self._context.now())

    def list_ids(self, since: float | None, skip: int, count: int) -> list[str]:
        """Return a page of session ids: sessions with a message or a state; with `since`, those whose state was set
        after it."""
        if since is None:
            ids = sorted(
                self.states.keys()
                | {session for session, queue in self._ready_queues.items() if queue.count or queue.locked}
            )
        else:
            ids = sorted(session for session, state in self.states.items() if state.since > since)
        return list(itertools.islice(ids, skip, skip + count))
