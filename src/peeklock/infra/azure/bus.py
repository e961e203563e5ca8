"""A consumer's queue and dead letters; a topic's messages are forwarded to the queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_azure_native import servicebus

from peeklock.errors import ConfigError
from peeklock.infra import outages
from peeklock.infra.azure import naming
from peeklock.infra.azure.shared import Shared
from peeklock.infra.settings.azure import Settings, iso
from peeklock.queue import Queue
from peeklock.quotas.azure import DELIVERIES, LOCK_SECONDS

FOR_EVER = "P10675199DT2H48M5.4775807S"
"""The platform's longest time to live, and its default: a dead letter waits until somebody takes it.
https://learn.microsoft.com/azure/service-bus-messaging/message-expiration"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A queue at Azure."""

    id: Any
    name: Any
    resource: Any


def dead_letters(shared: Shared, queue: Queue, own: str | None, parent: pulumi.Resource) -> Entity:
    """A queue beside the queue: Python's worker cannot dead-letter natively, and what is dead-lettered natively all the same
    is forwarded here, so that there is one place to look."""
    if own is not None:
        _check_namespace(shared, own)
        return _read(f"{shared.app}-{queue.name}-dead-letters", own, parent)
    return _entity(
        servicebus.Queue(
            f"{shared.app}-{queue.name}-dead-letters",
            namespace_name=shared.namespace.name,
            resource_group_name=_group(shared),
            queue_name=f"{queue.name}-dead-letters",
            default_message_time_to_live=FOR_EVER,
            dead_lettering_on_message_expiration=False,
            max_delivery_count=DELIVERIES,
            lock_duration=iso(LOCK_SECONDS),
            opts=shared.keep(parent),
        )
    )


def queue(
    shared: Shared,
    declared: Queue,
    settings: Settings,
    dead_letters_name: Any,
    own: str | None,
    parent: pulumi.Resource,
) -> Entity:
    """The queue. Raises ConfigError for an own queue that the declaration does not name."""
    if own is not None:
        if naming.part(own, "queues") != declared.name:
            raise ConfigError(
                f"queue_id={own!r} is not queue {declared.name!r}; name the Queue as the queue at Azure is named"
            )
        _check_namespace(shared, own)
        read = _read(f"{shared.app}-{declared.name}", own, parent)
        read.resource.max_delivery_count.apply(
            lambda limit: outages.warn_of_limit(declared, "maxDeliveryCount", limit, str(settings.deliveries), parent)
        )
        return read
    return _entity(
        servicebus.Queue(
            f"{shared.app}-{declared.name}",
            namespace_name=shared.namespace.name,
            resource_group_name=_group(shared),
            queue_name=declared.name,
            lock_duration=iso(settings.lock),
            max_delivery_count=settings.deliveries,
            default_message_time_to_live=iso(settings.life),
            dead_lettering_on_message_expiration=True,
            forward_dead_lettered_messages_to=dead_letters_name,
            requires_session=settings.sessions,
            requires_duplicate_detection=False,
            opts=shared.keep(parent),
        )
    )


def subscribed(
    shared: Shared, topic: str, made: dict[str, Any], target: Entity, name: str, parent: pulumi.Resource
) -> Any:
    """A subscription that forwards to the queue: so delays, dead letters and alarms are the queue's, and a delayed copy does not
    reach the topic's other subscriptions. Returns it."""
    if topic not in made:
        made[topic] = _topic(shared, topic)
    return servicebus.Subscription(
        f"{shared.app}-{name}-subscription",
        namespace_name=shared.namespace.name,
        resource_group_name=_group(shared),
        topic_name=made[topic],
        subscription_name=name,
        forward_to=target.name,
        max_delivery_count=DELIVERIES,
        opts=shared.keep(parent),
    )


def _topic(shared: Shared, topic: str) -> Any:
    """Its name. Consumers share it, so it belongs to their app."""
    if topic.startswith("/"):
        name = naming.part(topic, "topics")
        _check_namespace(shared, topic)
        return servicebus.Topic.get(f"{shared.app}-{name}", topic, pulumi.ResourceOptions(parent=shared.parent)).name
    return servicebus.Topic(
        f"{shared.app}-{topic}",
        namespace_name=shared.namespace.name,
        resource_group_name=_group(shared),
        topic_name=topic,
        requires_duplicate_detection=False,
        opts=shared.keep(shared.parent),
    ).name


def _check_namespace(shared: Shared, id_: str) -> None:
    """An app has one connection, so all that it uses is in one namespace."""
    namespace = naming.parent(id_, "namespaces")
    if (shared.brought or "").lower() != namespace.lower():
        raise ConfigError(f"{id_!r} is not in the app's namespace; give App namespace={namespace!r}")


def _group(shared: Shared) -> Any:
    """The namespace's own group, which may be another than the app's."""
    return pulumi.Output.from_input(shared.namespace.id).apply(lambda id_: naming.part(id_, "resourceGroups"))


def _read(name: str, id_: str, parent: pulumi.Resource) -> Entity:
    return _entity(servicebus.Queue.get(name, id_, pulumi.ResourceOptions(parent=parent)))


def _entity(resource: Any) -> Entity:
    return Entity(id=resource.id, name=resource.name, resource=resource)
