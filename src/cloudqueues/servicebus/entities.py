"""Entities of a running emulator, managed as by a management API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from cloudqueues.servicebus.broker import SUBSCRIPTIONS, Broker
from cloudqueues.servicebus.config import settings_of
from cloudqueues.servicebus.rules import EVERYTHING
from cloudqueues.servicebus.settings import Settings

T = TypeVar("T")


class InBroker(Protocol):
    def __call__(self, act: Callable[[Broker], T], /) -> T:
        """Call a function in the emulator's thread."""
        ...


class Entities:
    """Entities of a running emulator.

    Changes are lost at the stop, as messages are. `kind` is Queue, Topic or Subscription, `properties` are those of
    Microsoft's config.json, and a subscription's path is `topic/Subscriptions/name`. All methods raise ConfigError
    while the emulator does not run.
    """

    def __init__(self, in_broker: InBroker) -> None:
        self._in_broker = in_broker

    def add(self, kind: str, path: str, properties: Mapping[str, Any]) -> None:
        """Add an entity. A subscription gets a rule that matches every message. Raises ConfigError for a name that is
        taken or an unknown property."""
        settings = settings_of(kind, properties)

        def put(broker: Broker) -> None:
            if kind == "Subscription":
                topic, _, name = path.partition(SUBSCRIPTIONS)
                broker.add_subscription(topic, name, settings, [EVERYTHING])
            elif kind == "Topic":
                broker.add_topic(path, settings)
            else:
                broker.add_queue(path, settings)

        self._in_broker(put)

    def paths(self) -> list[str]:
        """Return the paths of queues and topics by name."""
        return self._in_broker(lambda broker: [entity.path for entity in broker.listed()])

    def settings(self, path: str) -> Settings | None:
        """Return the settings of an entity, or None where it does not exist."""
        return self._in_broker(lambda broker: broker.settings(path))

    def change(self, kind: str, path: str, properties: Mapping[str, Any]) -> None:
        """Replace all settings; missing properties get their default. Messages stay, and follow the settings from their
        next delivery on. Raises ConfigError where the entity does not exist."""
        settings = settings_of(kind, properties)
        self._in_broker(lambda broker: broker.change(path, settings))

    def remove(self, path: str) -> None:
        """Remove an entity, if it exists, with its messages and dead letters, and detach its links."""
        self._in_broker(lambda broker: broker.remove(path))
