"""Entities from a config.json of Microsoft's emulator, with its format and defaults. Longer times and more deliveries
than that emulator allows are accepted, up to the limits of the service.

https://github.com/Azure/azure-service-bus-emulator-installer/blob/main/ServiceBus-Emulator/Schema/Config-schema.json
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cloudqueues.errors import ConfigError
from cloudqueues.quotas.azure import DELIVERIES, DUPLICATES_SECONDS, LEAST_LOCK_SECONDS, LOCK_SECONDS
from cloudqueues.servicebus.broker import Broker
from cloudqueues.servicebus.config_values import ConfigValue, load
from cloudqueues.servicebus.rules import DEFAULT, EVERYTHING, KEYWORDS, Rule
from cloudqueues.servicebus.settings import Settings

Add = Callable[[Broker], None]
Read = Callable[[ConfigValue], object]

SHORTEST_WINDOW = 5.0
"""Seconds of duplicate detection in Microsoft's emulator; the service requires 20."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """Default settings of an entity."""

    settings: Settings
    window: float
    """Seconds of duplicate detection, where it is required."""


SERVICE = Defaults(Settings(), 10 * 60.0)
EMULATOR = Defaults(Settings(max_delivery_count=3, default_ttl=3600.0), 20.0)
"""Defaults of Microsoft's emulator, on which its configuration files rely."""

_TTL: dict[str, tuple[str, Read]] = {
    "DefaultMessageTimeToLive": ("default_ttl", lambda section: section.seconds(0.001))
}
_RECEIVED: dict[str, tuple[str, Read]] = {
    "LockDuration": ("lock_duration", lambda section: section.seconds(LEAST_LOCK_SECONDS, LOCK_SECONDS)),
    "MaxDeliveryCount": ("max_delivery_count", lambda section: section.number(1, DELIVERIES)),
    "RequiresSession": ("requires_session", ConfigValue.flag),
    "DeadLetteringOnMessageExpiration": ("dead_letter_expired", ConfigValue.flag),
    "ForwardTo": ("forward_to", ConfigValue.name_or_none),
    "ForwardDeadLetteredMessagesTo": ("forward_dead_letters_to", ConfigValue.name_or_none),
    **_TTL,
}
"""Key in the file, field in Settings, and reader of each setting."""
_DUPLICATES = ("RequiresDuplicateDetection", "DuplicateDetectionHistoryTimeWindow")


def read(config: Mapping[str, Any] | Path) -> list[Add]:
    """Return functions that add the entities to a broker, in the order of the file. Raises ConfigError for an invalid
    file."""
    user = load(config).map("UserConfig").get("UserConfig")
    sections = user.map("Namespaces", "Logging") if user else {}
    namespaces = sections["Namespaces"].each() if "Namespaces" in sections else []
    if len(namespaces) > 1:
        namespaces[1].fail("one emulator is one namespace: start another one for it")
    return [add for namespace in namespaces for add in _namespace(namespace)]


def _namespace(section: ConfigValue) -> Iterator[Add]:
    sections = section.map("Name", "Queues", "Topics")
    for entity in _listed(sections, "Queues"):
        yield _queue(entity)
    for entity in _listed(sections, "Topics"):
        yield from _topic(entity)


def _listed(sections: Mapping[str, ConfigValue], key: str) -> list[ConfigValue]:
    return sections[key].each() if key in sections else []


def settings_of(kind: str, properties: Mapping[str, Any]) -> Settings:
    """Return the settings in the Properties of a Queue, a Topic or a Subscription, with the service's defaults. Raises
    ConfigError."""
    return _settings(ConfigValue(dict(properties), "Properties"), kind, SERVICE)


def _queue(section: ConfigValue) -> Add:
    sections = section.map("Name", "Properties")
    name = section.need(sections, "Name").name()
    settings = _settings(sections.get("Properties"), "Queue")
    return lambda broker: broker.add_queue(name, settings)


def _topic(section: ConfigValue) -> Iterator[Add]:
    sections = section.map("Name", "Properties", "Subscriptions")
    name = section.need(sections, "Name").name()
    settings = _settings(sections.get("Properties"), "Topic")
    yield lambda broker: broker.add_topic(name, settings)
    for subscription in _listed(sections, "Subscriptions"):
        yield _subscription(name, subscription)


def _subscription(topic: str, section: ConfigValue) -> Add:
    sections = section.map("Name", "Properties", "Rules")
    name = section.need(sections, "Name").name()
    settings = _settings(sections.get("Properties"), "Subscription")
    rules = [_rule(rule) for rule in _listed(sections, "Rules")] or [EVERYTHING]
    return lambda broker: broker.add_subscription(topic, name, settings, rules)


def _settings(section: ConfigValue | None, kind: str, defaults: Defaults = EMULATOR) -> Settings:
    if section is None:
        return defaults.settings
    readers = _TTL if kind == "Topic" else _RECEIVED
    sections = section.map(*readers, *(() if kind == "Subscription" else _DUPLICATES))
    values: dict[str, Any] = {field: read(sections[key]) for key, (field, read) in readers.items() if key in sections}
    wanted, window = (sections.get(key) for key in _DUPLICATES)
    seconds = defaults.window if window is None else window.seconds(SHORTEST_WINDOW, DUPLICATES_SECONDS)
    wants = wanted is not None and wanted.flag()
    return replace(defaults.settings, **values, duplicate_window=seconds if wants else 0.0)


def _rule(section: ConfigValue) -> Rule:
    sections = section.map("Name", "Properties")
    name = sections["Name"].name() if "Name" in sections else DEFAULT
    properties = section.need(sections, "Properties")
    return _filter(name, properties)


def _filter(name: str, section: ConfigValue) -> Rule:
    sections = section.map("FilterType", "SqlFilter", "CorrelationFilter", "Action")
    action = _expression(sections["Action"]) if "Action" in sections else None
    likely = "Sql" if "SqlFilter" in sections else "Correlation"
    chosen = sections["FilterType"].one_of("Sql", "Correlation") if "FilterType" in sections else likely
    filter_part = section.need(sections, f"{chosen}Filter")
    try:
        if chosen == "Sql":
            return Rule.sql(_expression(filter_part), name=name, action=action)
        return _correlated(filter_part, name, action)
    except ConfigError as error:
        section.fail(str(error))


def _expression(section: ConfigValue) -> str:
    return section.need(section.map("SqlExpression"), "SqlExpression").name()


def _correlated(section: ConfigValue, name: str, action: str | None) -> Rule:
    sections = section.map(*KEYWORDS, "Properties")
    fields = {ours: sections[theirs].name() for theirs, ours in KEYWORDS.items() if theirs in sections}
    properties = sections["Properties"].scalars() if "Properties" in sections else {}
    return Rule.correlation(name=name, action=action, properties=properties, **fields)
