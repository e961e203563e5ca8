"""Properties of queues, topics and subscriptions by element name, with their limits.

https://learn.microsoft.com/rest/api/servicebus/create-queue
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from cloudqueues.quotas.azure import (
    DELIVERIES,
    DUPLICATES_SECONDS,
    LEAST_DUPLICATES_SECONDS,
    LEAST_LOCK_SECONDS,
    LOCK_SECONDS,
)
from cloudqueues.servicebus.admin import atom, authorization
from cloudqueues.servicebus.admin.refusals import invalid
from cloudqueues.servicebus.admin.values import (
    Property,
    Read,
    address,
    duration,
    duration_text,
    flag,
    flag_text,
    one_of,
    whole,
    words,
)
from cloudqueues.servicebus.amqp.attach import entity_path
from cloudqueues.servicebus.config import SERVICE
from cloudqueues.servicebus.settings import STATUSES, Settings
from cloudqueues.servicebus.tiers import PREMIUM, Tier

SIZES = (1024, 2048, 3072, 4096, 5120)
"""Sizes of an entity in the standard tier, in megabytes."""
PREMIUM_SIZES = tuple(1024 * gigabytes for gigabytes in range(1, 81))
PARTITIONS = 16
"""Partitions of a partitioned entity in the standard tier. Each has the chosen size; clients see the sum.
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-partitioning"""
SHORTEST_IDLE = 5 * 60.0
"""Seconds: https://learn.microsoft.com/rest/api/servicebus/create-queue"""
LONGEST_METADATA = 1024
"""Characters, as documented by the administration clients."""
STANDARD_MESSAGE = 256
"""Kilobytes of a message in the standard tier. Only the premium tier allows another size."""
PREMIUM_MESSAGES = (1024, 102_400)
"""Kilobytes: the minimum, which is the default, and the maximum."""
_SHORTEST = 1e-7
"""Seconds: one tick of .NET."""

FIXED = ("RequiresSession", "RequiresDuplicateDetection", "EnablePartitioning")
"""Properties that cannot be changed after an entity is created."""


def _lock(name: str, text: str) -> float:
    """Read the duration of a lock. The minimum is that of the portal and of Microsoft's emulator: the service has accepted
    a shorter lock, and then delivered nothing.

    https://github.com/Azure/azure-sdk-for-node/issues/1747
    https://github.com/Azure/azure-service-bus-emulator-installer/issues/53
    """
    seconds: float = duration(LEAST_LOCK_SECONDS)(name, text)
    if seconds > LOCK_SECONDS:
        raise invalid(f"The supplied lock time exceeds the allowed maximum of '{LOCK_SECONDS / 60:g}' minutes.")
    return seconds


def _size(*sizes: int, partitions: int = 1) -> Read:
    def read(name: str, text: str) -> int:
        megabytes: int = whole(0, 2**31 - 1)(name, text)
        if megabytes not in sizes and megabytes not in (partitions * size for size in sizes):
            raise invalid(
                f"The specified value {text} is invalid. The property '{name}', must be one of the following values:"
                f" {';'.join(map(str, sizes))}."
            )
        return megabytes

    return read


def _message_size(name: str, text: str) -> int:
    if text != str(STANDARD_MESSAGE):
        raise invalid(f"{name} can be set in the 'Premium' tier only; it is {STANDARD_MESSAGE} in the 'Standard' tier.")
    return STANDARD_MESSAGE


def _flag(*, default: bool | None = None, setting: str | None = None) -> Property:
    return Property(read=flag, show=flag_text, setting=setting, default=default)


_STANDARD: Mapping[str, Property] = {
    "LockDuration": Property(read=_lock, show=duration_text, setting="lock_duration"),
    "RequiresSession": _flag(setting="requires_session"),
    "DefaultMessageTimeToLive": Property(read=duration(_SHORTEST), show=duration_text, setting="default_ttl"),
    "DeadLetteringOnMessageExpiration": _flag(setting="dead_letter_expired"),
    "DeadLetteringOnFilterEvaluationExceptions": _flag(setting="dead_letter_filter_errors"),
    "MaxDeliveryCount": Property(read=whole(1, DELIVERIES), show="{:.0f}".format, setting="max_delivery_count"),
    "ForwardTo": Property(read=address, setting="forward_to", is_address=True),
    "ForwardDeadLetteredMessagesTo": Property(read=address, setting="forward_dead_letters_to", is_address=True),
    "Status": Property(read=one_of(*STATUSES), setting="status"),
    "RequiresDuplicateDetection": _flag(default=False),
    "DuplicateDetectionHistoryTimeWindow": Property(
        read=duration(LEAST_DUPLICATES_SECONDS, DUPLICATES_SECONDS), show=duration_text, default=SERVICE.window
    ),
    "MaxSizeInMegabytes": Property(read=_size(*SIZES, partitions=PARTITIONS), default=SIZES[0]),
    "EnableBatchedOperations": _flag(default=True),
    "FilteringMessagesBeforePublishing": _flag(default=False),
    "AutoDeleteOnIdle": Property(read=duration(SHORTEST_IDLE), show=duration_text, default=math.inf),
    "EnablePartitioning": _flag(default=False),
    "EnableExpress": _flag(default=False),
    "SupportOrdering": _flag(default=True),
    "UserMetadata": Property(read=words(LONGEST_METADATA)),
    "MaxMessageSizeInKilobytes": Property(read=_message_size, default=STANDARD_MESSAGE),
}
_PREMIUM: Mapping[str, Property] = {
    **_STANDARD,
    "MaxSizeInMegabytes": Property(read=_size(*PREMIUM_SIZES), default=PREMIUM_SIZES[0]),
    "MaxMessageSizeInKilobytes": Property(read=whole(*PREMIUM_MESSAGES), default=PREMIUM_MESSAGES[0]),
}
_RIGHTS = "AuthorizationRules"


class Properties:
    """Properties that entities of a tier can have."""

    def __init__(self, tier: Tier) -> None:
        self._is_premium = tier is PREMIUM
        self._known = _PREMIUM if self._is_premium else _STANDARD

    def read(self, kind: str, description: ET.Element, before: Settings | None) -> Settings:
        """Return the settings in a description; `before` holds those of an existing entity. Missing properties get
        their default.

        Raises Rejected.
        """
        if atom.local(description) != f"{kind}Description":
            raise invalid(f"The body has a {atom.local(description)}; a {kind}Description is needed.")
        elements = {atom.local(child): child for child in description if len(child) or child.text}
        values = {
            name: known_property.read(name, elements[name].text or "")
            for name, known_property in self._known.items()
            if name in elements
        }
        if before is not None:
            self._keep_fixed(kind, values, before)
        self._check(values)
        if _RIGHTS in elements:
            values[_RIGHTS] = authorization.read(elements[_RIGHTS])
        return self._settings(values)

    def _keep_fixed(self, kind: str, values: dict[str, Any], before: Settings) -> None:
        for name in FIXED:
            old = self._chosen(name, before)
            if values.setdefault(name, old) == old:
                continue
            if name == "EnablePartitioning":
                raise invalid(f"Partitioning cannot be changed for {kind}.")
            raise invalid(f"The value for the {name} property of an existing {kind} cannot be changed.")

    def _chosen(self, name: str, settings: Settings) -> bool:
        return self.shown(name, settings) == flag_text(True)

    def _check(self, values: dict[str, Any]) -> None:
        """Raise Rejected for values that exclude each other or that the tier does not support.

        https://learn.microsoft.com/azure/service-bus-messaging/service-bus-premium-messaging#express-entities
        """
        if values.get("EnableExpress") and values.get("RequiresDuplicateDetection"):
            raise invalid("Both DelayedPersistence and RequiresDuplicateDetection property cannot be enabled together.")
        for name in ("EnableExpress", "EnablePartitioning"):
            if self._is_premium and values.get(name):
                raise invalid(f"{name} cannot be set in the 'Premium' tier.")
        if values.get("EnablePartitioning"):
            megabytes = values.get("MaxSizeInMegabytes", SIZES[0])
            values["MaxSizeInMegabytes"] = megabytes * PARTITIONS if megabytes in SIZES else megabytes

    def _settings(self, values: Mapping[str, Any]) -> Settings:
        chosen = {name: known_property for name, known_property in self._known.items() if name in values}
        used: dict[str, Any] = {
            known_property.setting: entity_path(values[name]) if known_property.is_address else values[name]
            for name, known_property in chosen.items()
            if known_property.setting is not None
        }
        kept = {
            name: escape(known_property.show(values[name]))
            for name, known_property in chosen.items()
            if known_property.setting is None or known_property.is_address
        }
        if _RIGHTS in values:
            kept[_RIGHTS] = values[_RIGHTS]
        window = values.get("DuplicateDetectionHistoryTimeWindow", SERVICE.window)
        return Settings(**used, duplicate_window=window if values.get("RequiresDuplicateDetection") else 0.0, kept=kept)

    def shown(self, name: str, settings: Settings) -> str | None:
        """Return the inner XML of an element, or None for one that is omitted."""
        if name == _RIGHTS:
            return settings.kept.get(name, "")
        if name == "RequiresDuplicateDetection":
            return flag_text(settings.duplicate_window > 0)
        if name == "DuplicateDetectionHistoryTimeWindow" and settings.duplicate_window:
            return duration_text(settings.duplicate_window)
        if name in settings.kept:
            return settings.kept[name]
        known_property = self._known[name]
        value = known_property.default if known_property.setting is None else getattr(settings, known_property.setting)
        return None if value is None else escape(known_property.show(value))
