"""Settings of queues, topics and subscriptions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from cloudqueues.errors import ConfigError
from cloudqueues.quotas.azure import DELIVERIES, LEAST_LOCK_SECONDS, LOCK_SECONDS

ACTIVE, SEND_DISABLED, RECEIVE_DISABLED = "Active", "SendDisabled", "ReceiveDisabled"
STATUSES = (ACTIVE, "Disabled", SEND_DISABLED, RECEIVE_DISABLED)
"""https://learn.microsoft.com/azure/service-bus-messaging/entity-suspend"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one entity, with the defaults of the real service. All times are in seconds.

    https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas
    """

    lock_duration: float = 60.0
    max_delivery_count: float = 10
    """Number of failed deliveries at which a message is dead-lettered."""
    requires_session: bool = False
    default_ttl: float = math.inf
    dead_letter_expired: bool = False
    dead_letter_filter_errors: bool = True
    """For a subscription: dead-letter a message that a rule fails on, instead of treating it as not matched."""
    duplicate_window: float = 0.0
    """How long a message id is remembered; 0 disables duplicate detection."""
    forward_to: str | None = None
    forward_dead_letters_to: str | None = None
    status: str = ACTIVE
    """One of STATUSES."""
    kept: Mapping[str, str] = field(default_factory=dict[str, str])
    """Inner XML of elements that the management API returns as clients wrote them: properties without effect, and the
    addresses of `forward_to` and `forward_dead_letters_to`."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a lock duration or a number of deliveries that the service refuses. Dead-letter queues
        have no limit of deliveries.

        https://learn.microsoft.com/azure/service-bus-messaging/message-transfers-locks-settlement
        """
        if not LEAST_LOCK_SECONDS <= self.lock_duration <= LOCK_SECONDS:
            raise ConfigError(
                f"lock_duration must be {LEAST_LOCK_SECONDS} to {LOCK_SECONDS} seconds, not {self.lock_duration:g}"
            )
        if self.max_delivery_count != math.inf and not 1 <= self.max_delivery_count <= DELIVERIES:
            raise ConfigError(f"max_delivery_count must be 1 to {DELIVERIES}, not {self.max_delivery_count}")

    @property
    def is_sendable(self) -> bool:
        return self.status in {ACTIVE, RECEIVE_DISABLED}

    @property
    def is_receivable(self) -> bool:
        return self.status in {ACTIVE, SEND_DISABLED}
