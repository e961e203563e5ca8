"""All that a bound handler needs, resolved once; and what holds for one event."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from peeklock.claims import Record, Stamp, next_version
from peeklock.clock import Clock
from peeklock.delays import Random
from peeklock.handler import Handler, OnError
from peeklock.message import Message
from peeklock.observe import Observer
from peeklock.parcel import Sender
from peeklock.queue import Queue
from peeklock.store import Store

RESERVE = timedelta(seconds=1)
"""Kept back before the limit, for recording and settling."""

SKEW = timedelta(seconds=5)
"""How far the clocks of two machines may differ. Cloud hosts are kept within milliseconds by their provider's time
service; five seconds also cover a process that is killed late."""


class Delays(StrEnum):
    """How an abandoned message can be held back."""

    NATIVE = "native"
    """The platform delays this delivery's own message."""
    COPY = "copy"
    """A scheduled copy carries on, and this delivery is complete."""
    NONE = "none"
    """Only the queue's own setting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A bound consumer: what to run, and everything that it needs."""

    platform: str
    queue: Queue
    handler: Handler
    unwrap: Callable[[Message], Message] | None = None
    decode: Callable[[Message], Any]
    key: Callable[[Any], str] | None
    fatal: tuple[type[BaseException], ...]
    on_error: OnError | None
    store: Store | None
    letters: Sender
    copies: Sender | None
    delays: Delays
    parallel: int
    observer: Observer
    clock: Clock
    random: Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The time that one event has. Monotonic seconds where not a datetime."""

    clock: Clock
    last_start: float
    """After this no handler can end in time: the limit, less the reserve, less a time-out."""
    limit: float
    lease_until: datetime
    keep: timedelta
    owner: str = field(default_factory=lambda: os.urandom(6).hex())

    @classmethod
    def open(cls, plan: Plan, remaining: timedelta | None, messages: int) -> Window:
        """From the time that the platform leaves. Where it does not say, room for each message to take its time-out
        and for one time-out of store and queue: the lease has to end some time, but not before the last run does."""
        if remaining is None:
            remaining = plan.queue.timeout * (messages + 1) + RESERVE
        start = plan.clock.monotonic()
        return cls(
            clock=plan.clock,
            last_start=start + (remaining - RESERVE - plan.queue.timeout).total_seconds(),
            limit=start + remaining.total_seconds(),
            lease_until=plan.clock.now() + remaining + SKEW,
            keep=plan.queue.keep,
        )

    def has_room(self) -> bool:
        """Whether a handler started now may take its whole time-out."""
        return self.clock.monotonic() <= self.last_start

    def stamp(self, after: Record | None) -> Stamp:
        """For a write that follows `after`."""
        now = self.clock.now()
        nonce = int.from_bytes(os.urandom(3), "big")
        version = next_version(0 if after is None else after.version, now, nonce)
        return Stamp(version=version, owner=self.owner, now=now, lease_until=self.lease_until, keep=self.keep)
