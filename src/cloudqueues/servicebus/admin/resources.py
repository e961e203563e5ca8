"""Resources of the management API: entities, subscriptions and rules.

All methods raise Rejected.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cloudqueues.servicebus.admin import atom, descriptions, names, rule_xml
from cloudqueues.servicebus.admin.atom import Entry
from cloudqueues.servicebus.admin.descriptions import Descriptions
from cloudqueues.servicebus.admin.properties import Properties
from cloudqueues.servicebus.admin.refusals import exists, missing, no_destination, taken
from cloudqueues.servicebus.broker import SUBSCRIPTIONS, Broker
from cloudqueues.servicebus.errors import Refused
from cloudqueues.servicebus.queue import Queue
from cloudqueues.servicebus.settings import Settings
from cloudqueues.servicebus.topic import Subscription, Topic


class Resource(Protocol):
    def get(self) -> Entry | None:
        """Return the entry, or None for what the service answers with an empty feed."""
        ...

    def put(self, body: bytes, *, replace: bool) -> Entry:
        """Create the resource, or with `replace` change an existing one, and return its entry."""
        ...

    def delete(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """Broker, properties and descriptions that the resources of one request share."""

    broker: Broker
    properties: Properties
    descriptions: Descriptions


class EntityResource:
    """Queue or topic."""

    def __init__(self, namespace: Namespace, name: str) -> None:
        self._namespace = namespace
        self._broker = namespace.broker
        self._name = name

    def get(self) -> Entry | None:
        entity = self._find()
        return None if entity is None else self._namespace.descriptions.entity(entity)

    def put(self, body: bytes, *, replace: bool) -> Entry:
        names.check_path(self._name)
        if replace:
            self._change(self.existing(), body)
        else:
            self._create(body)
        return self._namespace.descriptions.entity(self.existing())

    def _change(self, entity: Queue | Topic, body: bytes) -> None:
        settings = self._namespace.properties.read(_kind(entity), atom.description(body), entity.settings)
        check_destinations(self._broker, settings)
        self._broker.change(self._name, settings)

    def _create(self, body: bytes) -> None:
        if self._find() is not None:
            raise taken()
        description = atom.description(body)
        if atom.local(description) == "TopicDescription":
            self._broker.add_topic(self._name, self._namespace.properties.read("Topic", description, None))
        else:
            settings = self._namespace.properties.read("Queue", description, None)
            check_destinations(self._broker, settings)
            self._broker.add_queue(self._name, settings)

    def delete(self) -> None:
        self._broker.remove(self.existing().path)

    def existing(self) -> Queue | Topic:
        entity = self._find()
        if entity is None:
            raise missing(self._name)
        return entity

    def topic(self) -> Topic:
        entity = self._find()
        if not isinstance(entity, Topic):
            raise missing(self._name)
        return entity

    def _find(self) -> Queue | Topic | None:
        try:
            return self._broker.target(self._name)
        except Refused:
            return None


def _kind(entity: Queue | Topic) -> str:
    return "Topic" if isinstance(entity, Topic) else "Queue"


def check_destinations(broker: Broker, settings: Settings) -> None:
    """Raise Rejected when an entity would forward to one that does not exist.

    A new entity cannot forward to itself, since the destination has to exist before the source. An update can, as the
    live test `test_mgmt_queue_update_success` of azure-servicebus does: the messages end after the last hop.
    https://learn.microsoft.com/azure/service-bus-messaging/service-bus-auto-forwarding
    """
    for path in (settings.forward_to, settings.forward_dead_letters_to):
        if path is not None:
            try:
                broker.target(path)
            except Refused as exc:
                raise no_destination() from exc


class SubscriptionResource:
    """Subscription of a topic."""

    def __init__(self, namespace: Namespace, topic: str, name: str) -> None:
        self._namespace = namespace
        self._broker = namespace.broker
        self._topic = topic
        self._name = name
        self._path = f"{topic}{SUBSCRIPTIONS}{name}"

    def get(self) -> Entry:
        return self._namespace.descriptions.subscription(self.existing().queue)

    def put(self, body: bytes, *, replace: bool) -> Entry:
        topic = self._parent()
        names.check_name(self._name)
        description = atom.description(body)
        before = self.existing().queue.settings if replace else None
        settings = self._namespace.properties.read("Subscription", description, before)
        check_destinations(self._broker, settings)
        if replace:
            self._broker.change(self._path, settings)
        elif self._name.lower() in topic.subscriptions:
            raise exists(self._path)
        else:
            self._broker.add_subscription(self._topic, self._name, settings, [rule_xml.default(description)])
        return self.get()

    def delete(self) -> None:
        self._broker.remove(self.existing().queue.path)

    def _parent(self) -> Topic:
        return EntityResource(self._namespace, self._topic).topic()

    def existing(self) -> Subscription:
        subscription = self._parent().subscriptions.get(self._name.lower())
        if subscription is None:
            raise missing(self._path)
        return subscription


class RuleResource:
    """Rule of a subscription."""

    def __init__(self, subscription: SubscriptionResource, name: str) -> None:
        self._subscription = subscription
        self._name = name

    def get(self) -> Entry:
        subscription = self._subscription.existing()
        if self._name not in subscription.rules:
            raise missing(f"{subscription.queue.path}/Rules/{self._name}")
        return descriptions.rule(subscription, subscription.rules[self._name])

    def put(self, body: bytes, *, replace: bool) -> Entry:
        subscription = self._subscription.existing()
        names.check_name(self._name)
        rule = rule_xml.read(self._name, atom.description(body))
        if replace:
            self.get()
            subscription.replace(rule)
        elif self._name in subscription.rules:
            raise exists(f"{subscription.queue.path}/Rules/{self._name}")
        else:
            subscription.add(rule)
        return self.get()

    def delete(self) -> None:
        self.get()
        self._subscription.existing().remove(self._name)
