"""Entities of a running Service Bus emulator, added, changed and removed as its management API would."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from peeklock.emulators.servicebus import ServiceBusEmulator
from peeklock.emulators.servicebus.broker import Broker
from peeklock.emulators.servicebus.config import read
from peeklock.emulators.servicebus.topic import Topic
from peeklock.emulators.servicebus.world import Settings, World

T = TypeVar("T")

SUBSCRIPTIONS = "/Subscriptions/"


class Bus:
    """`kind` is Queue, Topic or Subscription; `properties` are those of Microsoft's config.json; a subscription's path is
    `topic/Subscriptions/name`. Raises ConfigError for what the emulator does not take."""

    def __init__(self, emulator: ServiceBusEmulator) -> None:
        self._emulator = emulator

    def _in_broker(self, act: Callable[[Broker], T]) -> T:
        return self._emulator._call(lambda service: act(service.broker))  # noqa: SLF001 (it has no API to change entities)

    def add(self, kind: str, path: str, properties: Mapping[str, Any]) -> None:
        self._in_broker(lambda broker: _add(broker, kind, path, properties))

    def settings(self, path: str) -> Settings | None:
        """None where there is no such entity."""

        def look(broker: Broker) -> Settings | None:
            found = broker._entities.get(path.lower())  # noqa: SLF001
            return None if found is None else found.settings

        return self._in_broker(look)

    def wanted(self, kind: str, path: str, properties: Mapping[str, Any]) -> Settings:
        """What such an entity would have."""

        def make(broker: Broker) -> Settings:
            world = World(timeline=broker.world.timeline, soon=lambda _: None)
            scratch = Broker(world)
            if kind == "Subscription":
                _add(scratch, "Topic", path.partition(SUBSCRIPTIONS)[0], {})
            _add(scratch, kind, path, properties)
            return scratch._entities[path.lower()].settings  # noqa: SLF001

        return self._in_broker(make)

    def change(self, kind: str, path: str, properties: Mapping[str, Any]) -> None:
        """What is in it stays, and follows the new settings from its next delivery on."""
        settings = self.wanted(kind, path, properties)

        def put(broker: Broker) -> None:
            broker.find(path).settings = settings

        self._in_broker(put)

    def remove(self, path: str) -> None:
        """With its messages and dead letters; what is gone already is no error."""

        def drop(broker: Broker) -> None:
            below = path.lower()
            for one in [each for each in broker._entities if each == below or each.startswith(f"{below}/")]:  # noqa: SLF001
                del broker._entities[one]  # noqa: SLF001
                broker._subscriptions.pop(one, None)  # noqa: SLF001
            topic, _, name = below.partition(SUBSCRIPTIONS.lower())
            parent = broker._entities.get(topic)  # noqa: SLF001
            if isinstance(parent, Topic):
                parent.subscriptions.pop(name, None)

        self._in_broker(drop)


def _add(broker: Broker, kind: str, path: str, properties: Mapping[str, Any]) -> None:
    """As config.json has it, whose reader knows formats and limits. A topic that is there already gets a subscription."""
    topic, _, name = path.partition(SUBSCRIPTIONS)
    entity: dict[str, Any] = {"Name": name or path, "Properties": dict(properties)}
    if kind == "Queue":
        namespace: dict[str, Any] = {"Queues": [entity]}
    elif kind == "Topic":
        namespace = {"Topics": [entity]}
    else:
        namespace = {"Topics": [{"Name": topic, "Subscriptions": [entity]}]}
    adds = read({"UserConfig": {"Namespaces": [{"Name": "namespace", **namespace}]}})
    adds[-1](broker)
