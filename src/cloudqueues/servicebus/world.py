"""What all entities of one broker share: its time, its luck, and the way from one entity to another."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cloudqueues.errors import ConfigError
from cloudqueues.faults import NO_FAULTS, Faults
from cloudqueues.servicebus.errors import LinkError
from cloudqueues.servicebus.policies import Policies
from cloudqueues.servicebus.tiers import STANDARD, Tier
from cloudqueues.timeline import Timeline

if TYPE_CHECKING:
    from cloudqueues.servicebus.message import Message
    from cloudqueues.servicebus.queue import Queue

ACTIVE, SEND_DISABLED, RECEIVE_DISABLED = "Active", "SendDisabled", "ReceiveDisabled"
STATUSES = (ACTIVE, "Disabled", SEND_DISABLED, RECEIVE_DISABLED)
"""https://learn.microsoft.com/azure/service-bus-messaging/entity-suspend"""


@dataclass(slots=True, kw_only=True)
class World:
    timeline: Timeline
    soon: Callable[[Callable[[], None]], object]
    """Do it, but not within what is being done now."""
    faults: Faults = NO_FAULTS
    ahead: float = 0.0
    """Seconds by which the time was moved. Clients live in real time, so they are told times that much earlier: what is
    due in 30 seconds here is due in 30 seconds by their clocks, whatever was skipped before."""
    tier: Tier = STANDARD
    policies: Policies | None = None
    """None: any token is good."""
    forward: Callable[[Queue, Message], None] = lambda _queue, _message: None
    """Send a message on to the entity that its queue forwards to."""
    cut: Callable[[str, LinkError], None] = lambda _path, _error: None
    """Cut the links to an entity, with what their clients are told."""
    seen: Counter[tuple[object, ...]] = field(default_factory=Counter[tuple[object, ...]])

    def now(self) -> float:
        return self.timeline.now()

    def hits(self, knob: str, *what: object) -> bool:
        """Whether the fault happens to it this time: what is tried again gets a new chance, and the same one in each
        run of the same seed."""
        if not getattr(self.faults, knob):
            return False
        key = (knob, *what)
        self.seen[key] += 1
        return self.faults.hits(knob, *what, self.seen[key])


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """An entity's, with the defaults of the real service; all times in seconds.

    https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas
    """

    lock_duration: float = 60.0
    max_delivery_count: float = 10
    """Deliveries that may come to nothing, before the message is dead-lettered."""
    requires_session: bool = False
    default_ttl: float = math.inf
    dead_letter_expired: bool = False
    dead_letter_filter_errors: bool = True
    """Of a subscription: whether a message that a rule cannot be applied to is dead-lettered, rather than not matched."""
    duplicate_window: float = 0.0
    """How long a message id is remembered; 0: not at all."""
    forward_to: str | None = None
    forward_letters_to: str | None = None
    status: str = ACTIVE
    """One of STATUSES."""
    kept: Mapping[str, str] = field(default_factory=dict[str, str])
    """Inner XML of the management API's other properties, by element: they are shown again, and do nothing here."""

    def __post_init__(self) -> None:
        """Raises ConfigError for a lock that never is, or a message that is never delivered."""
        if self.lock_duration <= 0:
            raise ConfigError(f"a lock_duration of {self.lock_duration:g} seconds is none")
        if self.max_delivery_count < 1:
            raise ConfigError(f"max_delivery_count={self.max_delivery_count}: a message is delivered once at least")

    @property
    def is_sendable(self) -> bool:
        return self.status in {ACTIVE, RECEIVE_DISABLED}

    @property
    def is_receivable(self) -> bool:
        return self.status in {ACTIVE, SEND_DISABLED}
