"""Entities of a running emulator, added, read, changed and removed as a management API would."""

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
        """Do it in the emulator's thread."""
        ...


class Entities:
    """What is done here is gone with the stop, as messages are: the next start has what was added for it.

    `kind` is Queue, Topic or Subscription, `properties` are those of Microsoft's config.json, and a subscription's path is
    `topic/Subscriptions/name`. All raise ConfigError where the emulator does not run.
    """

    def __init__(self, in_broker: InBroker) -> None:
        self._in_broker = in_broker

    def add(self, kind: str, path: str, properties: Mapping[str, Any]) -> None:
        """A subscription gets every message. Raises ConfigError for a taken name, and for what is no property."""
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
        """Paths of the queues and topics, by their names."""
        return self._in_broker(lambda broker: [one.path for one in broker.listed()])

    def settings(self, path: str) -> Settings | None:
        """None where there is no such entity."""
        return self._in_broker(lambda broker: broker.settings(path))

    def change(self, kind: str, path: str, properties: Mapping[str, Any]) -> None:
        """All of the settings; what is not among the properties has its default again. What is in it stays, and follows
        them from its next delivery on. Raises ConfigError where there is none."""
        settings = settings_of(kind, properties)
        self._in_broker(lambda broker: broker.change(path, settings))

    def remove(self, path: str) -> None:
        """With its messages and dead letters; what is gone already is no error. Links to it are cut."""
        self._in_broker(lambda broker: broker.remove(path))
