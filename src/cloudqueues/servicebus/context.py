"""Broker context: the clock, the fault injection, the limits and the callbacks that all entities of a broker share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from cloudqueues.faults import NO_FAULTS, Faults
from cloudqueues.servicebus.errors import LinkError
from cloudqueues.servicebus.message import Message
from cloudqueues.servicebus.policies import Policies
from cloudqueues.servicebus.settings import Settings
from cloudqueues.servicebus.tiers import STANDARD, Tier
from cloudqueues.timeline import Timeline


class ForwardingQueue(Protocol):
    """Queue whose settings name another entity to forward to."""

    @property
    def path(self) -> str: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def is_dead_letter_queue(self) -> bool: ...


@dataclass(slots=True, kw_only=True)
class BrokerContext:
    """State and services that the entities and connections of one broker share."""

    timeline: Timeline
    call_soon: Callable[[Callable[[], None]], object]
    """Schedule a call for the next turn of the event loop."""
    faults: Faults = NO_FAULTS
    clock_offset: float = 0.0
    """Seconds by which `advance` has moved the broker's clock. Clients run in real time, so times are sent to them that
    much earlier: what is due in 30 seconds here is due in 30 seconds by their clocks."""
    tier: Tier = STANDARD
    policies: Policies | None = None
    """Access policies; None accepts any token."""
    forward: Callable[[ForwardingQueue, Message], None] = lambda _queue, _message: None
    """Send a message to the entity that its queue forwards to."""
    detach_links: Callable[[str, LinkError], None] = lambda _path, _error: None
    """Detach all links to an entity with an error."""
    occurrences: Counter[tuple[object, ...]] = field(default_factory=Counter[tuple[object, ...]])

    def now(self) -> float:
        """Return the broker's time in seconds since 1970."""
        return self.timeline.now()

    def hits(self, knob: str, *key: object) -> bool:
        """Return whether the fault `knob` is injected into this occurrence of `key`.

        Each retry draws again, and the same seed gives the same draws.
        """
        if not getattr(self.faults, knob):
            return False
        occurrence = (knob, *key)
        self.occurrences[occurrence] += 1
        return self.faults.hits(knob, *key, self.occurrences[occurrence])
