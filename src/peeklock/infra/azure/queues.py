"""Queue and dead-letter queue of a consumer, and the subscription that forwards a topic's messages to the queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_azure_native import servicebus

from peeklock.errors import ConfigError
from peeklock.infra import retry_warnings
from peeklock.infra.azure import locks, naming
from peeklock.infra.azure.environment import address
from peeklock.infra.azure.shared import Shared
from peeklock.infra.deployed import Deployed, Used
from peeklock.infra.inputs import checked
from peeklock.infra.settings.azure import Settings, iso
from peeklock.queue import Queue
from peeklock.quotas.azure import DELIVERIES, LOCK_SECONDS, QUEUE_MEGABYTES

FOR_EVER = "P10675199DT2H48M5.4775807S"
"""The platform's longest time to live, and its default: a dead letter waits until it is received.
https://learn.microsoft.com/azure/service-bus-messaging/message-expiration"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A queue of Service Bus."""

    id: Any
    name: Any
    resource: Any


def dead_letters(shared: Shared, queue: Queue, existing: pulumi.Input[str] | None, parent: pulumi.Resource) -> Entity:
    """Make or read the dead-letter queue, a queue of its own: Python's worker cannot dead-letter natively. Messages that the
    platform itself dead-letters are forwarded to it, so that all dead letters are in one place."""
    if existing is not None:
        id_ = _in_namespace(shared, "dead_letters_id", existing, "queues")
        return _read(f"{shared.app}-{queue.name}-dead-letters", id_, parent)
    return _entity(
        servicebus.Queue(
            f"{shared.app}-{queue.name}-dead-letters",
            namespace_name=shared.namespace.name,
            resource_group_name=_group(shared),
            queue_name=f"{queue.name}-dead-letters",
            default_message_time_to_live=FOR_EVER,
            max_size_in_megabytes=QUEUE_MEGABYTES,
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
    existing: pulumi.Input[str] | None,
    parent: pulumi.Resource,
) -> Entity:
    """Make or read the queue. Raises ConfigError for an existing queue with another name than the declared one,
    and, once the lock's duration is known, for one that ends before a batch does."""
    if existing is not None:
        id_ = _in_namespace(shared, "queue_id", existing, "queues")
        checked(id_, lambda resolved: _check_name(declared, resolved))
        read = _read(f"{shared.app}-{declared.name}", id_, parent)
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
            max_size_in_megabytes=QUEUE_MEGABYTES,
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
    shared: Shared,
    topic: pulumi.Input[str],
    topics: dict[Any, Any],
    target: Entity,
    name: str,
    parent: pulumi.Resource,
) -> Any:
    """Make a subscription that forwards to the queue, and return it. Delays, dead letters and alarms are then those of the
    queue, and a delayed copy does not reach the topic's other subscriptions. `topics`: the app's topics, by name or id."""
    if topic not in topics:
        topics[topic] = _topic(shared, topic, name)
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


def address_of(shared: Shared, used: Used) -> pulumi.Output[str]:
    """Return a queue's address. Raises ConfigError, during the update, for one of another namespace: an app has one
    connection."""
    namespace = pulumi.Output.from_input(shared.namespace.name)
    if not isinstance(used, Deployed):
        return namespace.apply(lambda name: address(name, used.name))

    def check(name: str, queue_address: str) -> str:
        if queue_address != address(name, used.queue.name):
            raise ConfigError(
                f"uses: queue {used.queue.name!r} is at {queue_address}, and this app's queues at {address(name, '')}...; give both"
                " apps the same namespace="
            )
        return queue_address

    return pulumi.Output.all(namespace, used.output("queue")).apply(lambda resolved: check(*resolved))


def _topic(shared: Shared, topic: pulumi.Input[str], queue_name: str) -> Any:
    """Make a topic, or read it by its id, and return its name. Consumers share it, so the app is its parent. An output is the id
    of a topic, and is named after the first queue that it is forwarded to."""
    if isinstance(topic, pulumi.Output) or str(topic).startswith("/"):
        id_ = _in_namespace(shared, "topic", topic, "topics")
        name = f"{queue_name}-topic" if isinstance(topic, pulumi.Output) else naming.part(str(topic), "topics")
        return servicebus.Topic.get(f"{shared.app}-{name}", id_, pulumi.ResourceOptions(parent=shared.parent)).name
    return servicebus.Topic(
        f"{shared.app}-{topic}",
        namespace_name=shared.namespace.name,
        resource_group_name=_group(shared),
        topic_name=topic,
        requires_duplicate_detection=False,
        opts=shared.data_options(shared.parent),
    ).name


def _in_namespace(shared: Shared, argument: str, id_: pulumi.Input[str], kind: str) -> pulumi.Input[str]:
    """Return the id of an existing entity. Raises ConfigError, during the update for outputs, for one of another kind or of
    another namespace: an app has one connection."""
    namespace = shared.existing.namespace
    if isinstance(namespace, pulumi.Output):
        id_and_namespace = pulumi.Output.all(id_, namespace)
        return id_and_namespace.apply(lambda ids: _check_entity(argument, ids[0], kind, ids[1]))
    return checked(id_, lambda resolved: _check_entity(argument, resolved, kind, namespace))


def _check_entity(argument: str, id_: str, kind: str, namespace: Any) -> str:
    naming.check_id(argument, id_, kind)
    its_namespace = naming.parent(id_, "namespaces")
    if (namespace or "").lower() != its_namespace.lower():
        raise ConfigError(f"{argument}={id_!r} is not in the app's namespace; give App namespace={its_namespace!r}")
    return id_


def _check_name(declared: Queue, id_: str) -> None:
    if naming.part(id_, "queues") != declared.name:
        raise ConfigError(
            f"queue_id={id_!r} is not queue {declared.name!r}; name the Queue as the queue at Azure is named"
        )


def _group(shared: Shared) -> Any:
    """Return the namespace's resource group, which may differ from the app's."""
    return pulumi.Output.from_input(shared.namespace.id).apply(lambda id_: naming.part(id_, "resourceGroups"))


def _read(name: str, id_: pulumi.Input[str], parent: pulumi.Resource) -> Entity:
    return _entity(servicebus.Queue.get(name, id_, pulumi.ResourceOptions(parent=parent)))


def _entity(resource: Any) -> Entity:
    return Entity(id=resource.id, name=resource.name, resource=resource)
