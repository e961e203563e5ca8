"""Queue and dead-letter queue of a consumer, and the subscription that forwards a topic's messages to the queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_azure_native import servicebus

from peeklock.errors import ConfigError
from peeklock.infra import retry_warnings
from peeklock.infra.azure import locks, naming
from peeklock.infra.azure.shared import Shared
from peeklock.infra.settings.azure import Settings, iso
from peeklock.queue import Queue
from peeklock.quotas.azure import DELIVERIES, LOCK_SECONDS

FOR_EVER = "P10675199DT2H48M5.4775807S"
"""The platform's longest time to live, and its default: a dead letter waits until it is received.
https://learn.microsoft.com/azure/service-bus-messaging/message-expiration"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A queue of Service Bus."""

    id: Any
    name: Any
    resource: Any


def dead_letters(shared: Shared, queue: Queue, existing: str | None, parent: pulumi.Resource) -> Entity:
    """Make or read the dead-letter queue, a queue of its own: Python's worker cannot dead-letter natively. Messages that the
    platform itself dead-letters are forwarded to it, so that all dead letters are in one place."""
    if existing is not None:
        _check_namespace(shared, existing)
        return _read(f"{shared.app}-{queue.name}-dead-letters", existing, parent)
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
            opts=shared.data_options(parent),
        )
    )


def queue(
    shared: Shared,
    declared: Queue,
    settings: Settings,
    dead_letters_name: Any,
    existing: str | None,
    parent: pulumi.Resource,
) -> Entity:
    """Make or read the queue. Raises ConfigError for an existing queue with another name than the declared one,
    and, once the lock's duration is known, for one that ends before a batch does."""
    if existing is not None:
        if naming.part(existing, "queues") != declared.name:
            raise ConfigError(
                f"queue_id={existing!r} is not queue {declared.name!r}; name the Queue as the queue at Azure is named"
            )
        _check_namespace(shared, existing)
        read = _read(f"{shared.app}-{declared.name}", existing, parent)
        read.resource.max_delivery_count.apply(
            lambda limit: retry_warnings.warn_about_limit(
                declared, "maxDeliveryCount", limit, str(settings.deliveries), parent
            )
        )
        read.resource.lock_duration.apply(lambda lock: locks.check(declared, settings, lock))
        return read
    created = _entity(
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
            requires_duplicate_detection=settings.duplicate_detection,
            opts=shared.data_options(parent),
        )
    )
    created.resource.lock_duration.apply(lambda lock: locks.check(declared, settings, lock))
    return created


def forward_topic(
    shared: Shared, topic: str, topics: dict[str, Any], target: Entity, name: str, parent: pulumi.Resource
) -> Any:
    """Make a subscription that forwards to the queue, and return it. Delays, dead letters and alarms are then those of the
    queue, and a delayed copy does not reach the topic's other subscriptions. `topics`: the app's topics, by name or id."""
    if topic not in topics:
        topics[topic] = _topic(shared, topic)
    return servicebus.Subscription(
        f"{shared.app}-{name}-subscription",
        namespace_name=shared.namespace.name,
        resource_group_name=_group(shared),
        topic_name=topics[topic],
        subscription_name=name,
        forward_to=target.name,
        max_delivery_count=DELIVERIES,
        opts=shared.data_options(parent),
    )


def _topic(shared: Shared, topic: str) -> Any:
    """Make or read a topic, and return its name. Consumers share it, so the app is its parent."""
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
        opts=shared.data_options(shared.parent),
    ).name


def _check_namespace(shared: Shared, id_: str) -> None:
    """Raise ConfigError for a resource of another namespace: an app has one connection."""
    namespace = naming.parent(id_, "namespaces")
    if (shared.existing_namespace or "").lower() != namespace.lower():
        raise ConfigError(f"{id_!r} is not in the app's namespace; give App namespace={namespace!r}")


def _group(shared: Shared) -> Any:
    """Return the namespace's resource group, which may differ from the app's."""
    return pulumi.Output.from_input(shared.namespace.id).apply(lambda id_: naming.part(id_, "resourceGroups"))


def _read(name: str, id_: str, parent: pulumi.Resource) -> Entity:
    return _entity(servicebus.Queue.get(name, id_, pulumi.ResourceOptions(parent=parent)))


def _entity(resource: Any) -> Entity:
    return Entity(id=resource.id, name=resource.name, resource=resource)
