"""Bound consumers, resolved once, and the deadline of an event."""

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
"""Time before the platform's limit that is reserved for recording and settling."""

RESERVE_SECONDS = RESERVE.total_seconds()

SETTLING_SECONDS = 0.5
"""Part of the reserve for settling on the platform. Recording that has not finished by then is no longer waited for."""

OBSERVING_SECONDS = 0.1
"""Part of the settling time that the observer gets at least."""

RECORDING_SECONDS = 0.25
"""Part of the reserve for recording how the last handlers ended."""

LOOKING_SECONDS = 0.1
"""Part of the reserve for reading the clock, so that an event with time for exactly one handler runs it."""

HANDOVER_SECONDS = 0.2
"""Part of the reserve for the delay until a thread begins a handler that was started in time."""

GRACE_SECONDS = 0.5
"""Time that an interrupted or cancelled handler may take to end before its slot counts as lost."""

MOST_HANDLERS = 512
"""Maximum number of handler threads of a binding, including those that hang in C. It limits leaks and is not a setting: an
event never uses more than `parallel` threads."""

MOST_IO = 64
"""Maximum number of concurrent calls of a binding to its store, its queues and its observer, each of which may hang."""

SKEW = timedelta(seconds=5)
"""Maximum difference between the clocks of two machines. The time services of cloud providers keep hosts within milliseconds;
five seconds also allow for processes that are killed late."""


class CallWithin(Protocol):
    """Makes a call with a time limit. It returns or raises as the call does, and raises Interrupted if that takes longer."""

    def __call__(self, call: Callable[[], T], seconds: float, /) -> T: ...


class Delays(StrEnum):
    """Ways to delay the next delivery of an abandoned message."""

    NATIVE = "native"
    """The platform delays the message itself."""
    COPY = "copy"
    """A delayed copy is published, and the delivery is completed."""
    NONE = "none"
    """Only the setting of the queue applies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundConsumer:
    """A consumer bound to a platform, with everything that running it requires."""

    platform: str
    queue: Queue
    handler: Handler
    unwrap: Callable[[Message], Message] | None = None
    decode: Callable[[Message], Any]
    key: Callable[[Any], str] | None
    has_hooks: bool = False
    """True if reading a message calls user code, which may hang."""
    check_body: bool
    results: Results | None
    """Conversion of results to be kept; None if they are not kept."""
    fatal: tuple[type[BaseException], ...]
    on_error: OnError | None
    store: Store | None
    dead_letters: Sender
    copies: Sender | None
    delays: Delays
    longest_delay: timedelta = MAX_DURATION
    """The longest delay that the platform supports, for a message or a delayed copy."""
    parallel: int
    observer: Observer
    clock: Clock
    random: Random
    handlers: Pool = field(default_factory=partial(Pool, MOST_HANDLERS, "peeklock-handler"))
    io: Pool = field(default_factory=partial(Pool, MOST_IO, "peeklock-io"))
    # Two pools for each binding, so that hanging calls take no threads from other bindings, and hanging handlers none from
    # the calls that record and settle.


class Deadline:
    """Time limits of one event. Values that only a store needs are computed on first use."""

    def __init__(self, bound: BoundConsumer, remaining: timedelta | None, messages: int) -> None:
        """`remaining`: the time that the platform leaves, in which case it is the limit.

        If it is unknown, the limit allows the full time-out for each message, plus one for store and queue: the lease
        needs an end, which must not come before that of the last run.
        """
        self.clock = bound.clock
        self.call_within: CallWithin = partial(call_within, bound.handlers)
        """Calls a user's hook with a time limit in seconds."""
        self.keep = bound.queue.keep
        timeout = self.timeout = bound.queue.timeout.total_seconds()
        span = timeout * (messages + 1) + RESERVE_SECONDS if remaining is None else remaining.total_seconds()
        span = min(span, LONGEST_EVENT.total_seconds())
        self.limit = bound.clock.monotonic() + span
        """When the platform ends the event, in monotonic seconds."""
        self.last_start = self.limit - RESERVE_SECONDS - timeout + LOOKING_SECONDS
        """The latest start of a handler that can use its full time-out and still be recorded and settled in time."""
        self.latest = time.monotonic() + span - RESERVE_SECONDS + HANDOVER_SECONDS
        """When the last handler has to end, in `time.monotonic()`, by which handlers are timed."""

    @cached_property
    def owner(self) -> str:
        """Random name of this event in its records. A process id would not be unique: the process may be a clone."""
        return os.urandom(6).hex()

    @cached_property
    def lease_until(self) -> datetime:
        """End of the leases of this event, when its process can no longer be alive."""
        return self.clock.now() + timedelta(seconds=self.limit - self.clock.monotonic()) + SKEW

    def has_room(self, spent: float = 0.0) -> bool:
        """Return whether a handler started now can use its full time-out, of which `spent` seconds are already used."""
        return self.clock.monotonic() <= self.last_start + spent

    def room(self) -> float:
        """Return the seconds that a handler started now could take."""
        return self.last_start + self.timeout - self.clock.monotonic()

    def may_begin(self, spent: float) -> bool:
        """Return whether a handler that was handed to a thread in time may still begin."""
        return self.clock.monotonic() <= self.last_start + spent + HANDOVER_SECONDS - LOOKING_SECONDS

    def io_left(self) -> float:
        """Return the seconds for which answers of the store or a queue are waited for. The rest is for settling."""
        return self.limit - SETTLING_SECONDS - self.clock.monotonic()

    def seconds_for_on_error(self) -> float:
        """Return the seconds that `on_error` may take, which leave time to record the failure."""
        return min(self.timeout, self.io_left() - RECORDING_SECONDS)

    def seconds_for_result(self) -> float:
        """Return the seconds that the conversion of a kept result may take.

        It gets a moment even at the very end, because most conversions take microseconds.
        """
        return max(self.seconds_for_on_error(), SHORTEST)

    def seconds_for_observer(self) -> float:
        """Return the seconds that the observer has for the settlements of the event."""
        return max(self.io_left(), OBSERVING_SECONDS)

    def waiting(self) -> float:
        """Return the seconds after which an event that has not ended is no longer waited for."""
        return max(self.limit - SETTLING_SECONDS / 2 - self.clock.monotonic(), OBSERVING_SECONDS)

    def grace(self, now: float) -> float:
        """Return the time, in `time.monotonic()`, until which a handler that is stopped at `now` may take to end."""
        end = self.latest - HANDOVER_SECONDS + RESERVE_SECONDS
        return min(now + GRACE_SECONDS, end - SETTLING_SECONDS - RECORDING_SECONDS)

    def stamp(self, after: Record | None, body: str = "") -> Stamp:
        """Return the stamp of a write that follows the record `after`. `body`: the hash of the body, for a claim."""
        now = self.clock.now()
        nonce = int.from_bytes(os.urandom(3), "big")
        version = next_version(0 if after is None else after.version, now, nonce)
        return Stamp(
            version=version, owner=self.owner, now=now, lease_until=self.lease_until, keep=self.keep, body=body
        )
