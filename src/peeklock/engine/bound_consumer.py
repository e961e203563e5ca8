"""All that a bound handler needs, resolved once; and what holds for one event."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property, partial
from typing import Any, Protocol, TypeVar

from peeklock.concurrency.thread_pool import Pool
from peeklock.concurrency.timer import SHORTEST
from peeklock.consuming.handler import Handler, OnError
from peeklock.consuming.hooks import call_within
from peeklock.consuming.results import Results
from peeklock.idempotency.record import LONGEST_EVENT, Record, Stamp, next_version
from peeklock.idempotency.store import Store
from peeklock.message import Message
from peeklock.observability.observer import Observer
from peeklock.outgoing import Sender
from peeklock.queue import Queue
from peeklock.timing.clock import Clock
from peeklock.timing.delays import MAX_DURATION, Random

T = TypeVar("T")

RESERVE = timedelta(seconds=1)
"""Kept back before the limit, for recording and settling."""

RESERVE_SECONDS = RESERVE.total_seconds()

SETTLING_SECONDS = 0.5
"""Of the reserve: for telling the platform. What is not recorded when it begins is not waited for any more."""

OBSERVING_SECONDS = 0.1
"""What the observer gets of that at least."""

RECORDING_SECONDS = 0.25
"""Of the reserve: for recording how the last handlers ended."""

LOOKING_SECONDS = 0.1
"""Of the reserve: for what looks at the clock, so that an event with room for one handler and no more runs it."""

HANDOVER_SECONDS = 0.2
"""Of the reserve: what it may take until a thread begins with a handler that was started in time."""

GRACE_SECONDS = 0.5
"""How long a handler that was interrupted or cancelled may take to end, before its slot counts as taken for good."""

MOST_HANDLERS = 512
"""Threads of a binding for its handlers, those included that hang in C: a bound against a leak, not a setting. An event
never uses more of them than `parallel`."""

MOST_IO = 64
"""Calls of a binding to its store, its queues and its observer at once. All of them may hang."""

SKEW = timedelta(seconds=5)
"""How far the clocks of two machines may differ. Cloud hosts are kept within milliseconds by their provider's time
service; five seconds also cover a process that is killed late."""


class CallWithin(Protocol):
    """Returns what the call returns, or raises what it raises; Interrupted when it takes longer."""

    def __call__(self, call: Callable[[], T], seconds: float, /) -> T: ...


class Delays(StrEnum):
    """How an abandoned message can be held back."""

    NATIVE = "native"
    """The platform delays this delivery's own message."""
    COPY = "copy"
    """A scheduled copy carries on, and this delivery is complete."""
    NONE = "none"
    """Only the queue's own setting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundConsumer:
    """A bound consumer: what to run, and everything that it needs."""

    platform: str
    queue: Queue
    handler: Handler
    unwrap: Callable[[Message], Message] | None = None
    decode: Callable[[Message], Any]
    key: Callable[[Any], str] | None
    has_hooks: bool = False
    """Whether reading a message calls functions of the user's, which may hang."""
    check_body: bool
    results: Results | None
    """How results are kept; None where they are not."""
    fatal: tuple[type[BaseException], ...]
    on_error: OnError | None
    store: Store | None
    dead_letters: Sender
    copies: Sender | None
    delays: Delays
    longest_delay: timedelta = MAX_DURATION
    """Longer than that the platform holds no message back, itself or as a copy."""
    parallel: int
    observer: Observer
    clock: Clock
    random: Random
    handlers: Pool = field(default_factory=partial(Pool, MOST_HANDLERS, "peeklock-handler"))
    io: Pool = field(default_factory=partial(Pool, MOST_IO, "peeklock-io"))
    # Two, and of this binding alone: what hangs costs no other binding a thread, and its own event no answer.


class Deadline:
    """The time that one event has. What only a store needs is found out when it is first asked for."""

    def __init__(self, bound: BoundConsumer, remaining: timedelta | None, messages: int) -> None:
        """From the time that the platform leaves. Where it does not say, room for each message to take its time-out
        and for one time-out of store and queue: the lease has to end some time, but not before the last run does."""
        self.clock = bound.clock
        self.call_within: CallWithin = partial(call_within, bound.handlers)
        """Calls a user's hook for so many seconds at most."""
        self.keep = bound.queue.keep
        timeout = self.timeout = bound.queue.timeout.total_seconds()
        span = timeout * (messages + 1) + RESERVE_SECONDS if remaining is None else remaining.total_seconds()
        span = min(span, LONGEST_EVENT.total_seconds())
        self.limit = bound.clock.monotonic() + span
        """When the platform ends the event, in monotonic seconds."""
        self.last_start = self.limit - RESERVE_SECONDS - timeout + LOOKING_SECONDS
        """After this no handler can end in time, recording and settling included."""
        self.latest = time.monotonic() + span - RESERVE_SECONDS + HANDOVER_SECONDS
        """When the last handler has to end, in the time of this machine, which handlers are held to."""

    @cached_property
    def owner(self) -> str:
        """This event's name in the records that it writes: its process may be a clone of another."""
        return os.urandom(6).hex()

    @cached_property
    def lease_until(self) -> datetime:
        return self.clock.now() + timedelta(seconds=self.limit - self.clock.monotonic()) + SKEW

    def has_room(self, spent: float = 0.0) -> bool:
        """Whether a handler started now may take its whole time-out, `spent` seconds of which are over already."""
        return self.clock.monotonic() <= self.last_start + spent

    def room(self) -> float:
        """Seconds that a handler started now could take."""
        return self.last_start + self.timeout - self.clock.monotonic()

    def may_begin(self, spent: float) -> bool:
        """Whether a handler that was started while there was room may still begin."""
        return self.clock.monotonic() <= self.last_start + spent + HANDOVER_SECONDS - LOOKING_SECONDS

    def io_left(self) -> float:
        """Seconds in which an answer of the store or a queue is still of use: the rest is for settling."""
        return self.limit - SETTLING_SECONDS - self.clock.monotonic()

    def seconds_for_on_error(self) -> float:
        """Seconds that `on_error` may take: what ended has to be recorded after it, and the next one may have to be asked."""
        return min(self.timeout, self.io_left() - RECORDING_SECONDS)

    def seconds_for_result(self) -> float:
        """Seconds that a kept result's way into text and back may take; a moment is left for it also at the very end, since
        most take microseconds."""
        return max(self.seconds_for_on_error(), SHORTEST)

    def seconds_for_observer(self) -> float:
        """Seconds that the observer has for an event's settlements."""
        return max(self.io_left(), OBSERVING_SECONDS)

    def waiting(self) -> float:
        """Seconds until an event that has not ended by itself is left alone."""
        return max(self.limit - SETTLING_SECONDS / 2 - self.clock.monotonic(), OBSERVING_SECONDS)

    def grace(self, now: float) -> float:
        """Until when a handler that was stopped at `now` may take to end, in the time of this machine."""
        end = self.latest - HANDOVER_SECONDS + RESERVE_SECONDS
        return min(now + GRACE_SECONDS, end - SETTLING_SECONDS - RECORDING_SECONDS)

    def stamp(self, after: Record | None, body: str = "") -> Stamp:
        """For a write that follows `after`; a claim says the hash of the body that it is for."""
        now = self.clock.now()
        nonce = int.from_bytes(os.urandom(3), "big")
        version = next_version(0 if after is None else after.version, now, nonce)
        return Stamp(
            version=version, owner=self.owner, now=now, lease_until=self.lease_until, keep=self.keep, body=body
        )
