"""The sessions of a queue: who holds which, what they remember, and who waits for one.

https://learn.microsoft.com/azure/service-bus-messaging/message-sessions
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloudqueues.servicebus.deadlines import Deadlines
from cloudqueues.servicebus.errors import SESSION_LOST, SESSION_TAKEN, TIMEOUT, Refused
from cloudqueues.servicebus.lane import Consumer, Lane
from cloudqueues.servicebus.world import World
from cloudqueues.timeline import Timer

if TYPE_CHECKING:
    from cloudqueues.servicebus.queue import Queue

Accepted = Callable[[str, float], None]
"""Called with the session's id and when its lock ends."""


@dataclass(slots=True)
class Hold:
    consumer: Consumer
    until: float


@dataclass(frozen=True, slots=True)
class State:
    data: bytes
    since: float


class Sessions:
    def __init__(self, queue: Queue, world: World) -> None:
        self.states: dict[str, State] = {}
        self._queue = queue
        self._world = world
        self._lanes: dict[str, Lane] = {}
        self._holds: dict[str, Hold] = {}
        self._free: dict[str, None] = {}  # with messages and without a holder, the longest free one first
        self._waiting: dict[Consumer, tuple[Accepted, Timer]] = {}
        self._ends = Deadlines[str](world.timeline, self._ended)

    def lane(self, session: str) -> Lane:
        return self._lanes.setdefault(session, Lane())

    def until(self, session: str | None) -> float:
        """When the lock ends that its messages are held by."""
        return self._holds[session].until if session in self._holds else 0.0

    # -- who holds it

    def accept(self, consumer: Consumer, wanted: str | None, wait: float, accepted: Accepted) -> None:
        """One session, or the next that is free (`wanted` is None) within `wait` seconds. The answer may come later.

        Raises Refused when the wanted one is taken.
        """
        if wanted in self._holds:
            raise Refused(
                SESSION_TAKEN,
                f"The requested session '{wanted}' cannot be accepted. It may be locked by another receiver.",
            )
        session = wanted if wanted is not None else self._next()
        if session is not None:
            self._grant(session, consumer, accepted)
        else:
            timer = self._world.timeline.after(wait, lambda: self._waited(consumer))
            self._waiting[consumer] = (accepted, timer)

    def _next(self) -> str | None:
        return next(iter(self._free), None)

    def _grant(self, session: str, consumer: Consumer, accepted: Accepted) -> None:
        self._free.pop(session, None)
        until = self._world.now() + self._queue.settings.lock_duration
        self._holds[session] = Hold(consumer, until)
        self._ends.set(session, until)
        accepted(session, until)

    def _waited(self, consumer: Consumer) -> None:
        del self._waiting[consumer]
        consumer.lost(
            Refused(TIMEOUT, "The operation did not complete within the allotted time: no session was available.")
        )

    def offer(self, session: str) -> None:
        """It has a message that is ready."""
        if session in self._holds:
            return
        if self._waiting:
            consumer = next(iter(self._waiting))
            accepted, timer = self._waiting.pop(consumer)
            timer.cancel()
            self._grant(session, consumer, accepted)
        else:
            self._free[session] = None

    def spent(self, session: str | None) -> None:
        """A message of it is gone that was never delivered: if it was the last one, so is the session."""
        if session is not None and session not in self._holds and not self.lane(session).count:
            self._free.pop(session, None)
            self._lanes.pop(session, None)

    def leave(self, consumer: Consumer, session: str | None) -> None:
        """It waits no longer, and what it held is free, as if nothing of it had been delivered.

        https://learn.microsoft.com/azure/service-bus-messaging/message-sessions#impact-of-delivery-count
        """
        if consumer in self._waiting:
            self._waiting.pop(consumer)[1].cancel()
        hold = self._holds.get(session) if session is not None else None
        if session is not None and hold is not None and hold.consumer is consumer:
            self._release(session, counted=False)

    def end(self, session: str) -> None:
        """Now, if it is still held."""
        if session in self._holds:
            self._ended(session)

    def _ended(self, session: str) -> None:
        """A receiver that deletes what it gets keeps its session while its link is open, however long it waits: it has
        no lock to lose (`..._receive_handler_receiveanddelete` of the SDK's tests)."""
        consumer = self._holds[session].consumer
        if consumer.destructive:
            self.renew(session)
            return
        self._release(session, counted=True)
        text = "The session lock has expired on the MessageSession. Accept a new MessageSession."
        consumer.lost(Refused(SESSION_LOST, text))

    def _release(self, session: str, *, counted: bool) -> None:
        """What was delivered and not settled comes back, in its order."""
        lane = self.lane(session)
        lane.hungry.clear()
        for message in list(lane.held.values()):
            self._queue.unlock(message, counted=counted)
        del self._holds[session]
        self._ends.discard(session)
        if lane.count:
            self.offer(session)
        else:
            del self._lanes[session]

    def renew(self, session: str) -> float:
        hold = self.hold(session)
        hold.until = self._world.now() + self._queue.settings.lock_duration
        self._ends.set(session, hold.until)
        return hold.until

    def hold(self, session: str) -> Hold:
        """Raises Refused when nobody holds it."""
        found = self._holds.get(session)
        if found is None:
            raise Refused(SESSION_LOST, f"The session '{session}' is not locked. Its lock may have expired.")
        return found

    # -- what it remembers

    def state(self, session: str) -> bytes | None:
        self.hold(session)
        found = self.states.get(session)
        return None if found is None else found.data

    def remember(self, session: str, data: bytes | None) -> None:
        """None forgets."""
        self.hold(session)
        if data is None:
            self.states.pop(session, None)
        else:
            self.states[session] = State(data, self._world.now())

    def known(self, since: float | None, skip: int, count: int) -> list[str]:
        """Sessions with a message or a state; with `since`, those whose state was set after it."""
        if since is None:
            names = sorted(
                self.states.keys() | {session for session, lane in self._lanes.items() if lane.count or lane.held}
            )
        else:
            names = sorted(session for session, state in self.states.items() if state.since > since)
        return list(itertools.islice(names, skip, skip + count))
