"""Descriptions of queues, topics and subscriptions as the service writes them, with their current counts.

The order of the elements is that of the service, which reads and writes them in sequence.
"""

from __future__ import annotations

from collections.abc import Mapping

from cloudqueues.servicebus.admin import atom, rule_xml
from cloudqueues.servicebus.admin.atom import Entry, Site
from cloudqueues.servicebus.admin.properties import Properties
from cloudqueues.servicebus.broker import SUBSCRIPTIONS
from cloudqueues.servicebus.ingress import Ingress
from cloudqueues.servicebus.message import Content
from cloudqueues.servicebus.queue import Queue
from cloudqueues.servicebus.rules import CorrelationFilter, Rule
from cloudqueues.servicebus.topic import Subscription, Topic

QUEUE = (
    "LockDuration", "MaxSizeInMegabytes", "RequiresDuplicateDetection", "RequiresSession", "DefaultMessageTimeToLive",
    "DeadLetteringOnMessageExpiration", "DuplicateDetectionHistoryTimeWindow", "MaxDeliveryCount",
    "EnableBatchedOperations", "SizeInBytes", "MessageCount", "IsAnonymousAccessible", "AuthorizationRules", "Status",
    "ForwardTo", "UserMetadata", "CreatedAt", "UpdatedAt", "AccessedAt", "SupportOrdering", "CountDetails",
    "AutoDeleteOnIdle", "EnablePartitioning", "EntityAvailabilityStatus", "EnableExpress",
    "ForwardDeadLetteredMessagesTo", "MaxMessageSizeInKilobytes",
)  # fmt: skip
TOPIC = (
    "DefaultMessageTimeToLive", "MaxSizeInMegabytes", "RequiresDuplicateDetection",
    "DuplicateDetectionHistoryTimeWindow", "EnableBatchedOperations", "SizeInBytes",
    "FilteringMessagesBeforePublishing", "IsAnonymousAccessible", "AuthorizationRules", "Status", "UserMetadata",
    "CreatedAt", "UpdatedAt", "AccessedAt", "SupportOrdering", "CountDetails", "SubscriptionCount", "AutoDeleteOnIdle",
    "EnablePartitioning", "EntityAvailabilityStatus", "EnableExpress", "MaxMessageSizeInKilobytes", "SqlFilterCount",
    "CorrelationFilterCount",
)  # fmt: skip
SUBSCRIPTION = (
    "LockDuration", "RequiresSession", "DefaultMessageTimeToLive", "DeadLetteringOnMessageExpiration",
    "DeadLetteringOnFilterEvaluationExceptions", "MessageCount", "MaxDeliveryCount", "EnableBatchedOperations",
    "Status", "ForwardTo", "CreatedAt", "UpdatedAt", "AccessedAt", "UserMetadata", "CountDetails", "AutoDeleteOnIdle",
    "EntityAvailabilityStatus", "ForwardDeadLetteredMessagesTo",
)  # fmt: skip
SINCE = {"MaxMessageSizeInKilobytes": "2021-05", "SqlFilterCount": "2024-05", "CorrelationFilterCount": "2024-05"}
"""First `api-version` that has the element; elements not listed are in all versions."""


class Descriptions:
    """Writer of descriptions for one client."""

    def __init__(self, site: Site, properties: Properties) -> None:
        self._site = site
        self._properties = properties

    def entity(self, entity: Queue | Topic) -> Entry:
        if isinstance(entity, Topic):
            return self._entry(entity, "Topic", TOPIC, _topic_counts(entity))
        return self._entry(entity, "Queue", QUEUE, _queue_counts(entity))

    def subscription(self, queue: Queue) -> Entry:
        """Return the entry of a subscription.

        One that was never accessed shows its creation time, unlike a queue or a topic: azservicebus' live test
        `TestAdminClient_ListSubscriptionRuntimeProperties`.
        """
        used = queue.timestamps.created if queue.timestamps.accessed is None else queue.timestamps.accessed
        return self._entry(
            queue, "Subscription", SUBSCRIPTION, {**_queue_counts(queue), "AccessedAt": atom.moment(used)}
        )

    def _entry(self, entity: Queue | Topic, kind: str, names: tuple[str, ...], counts: Mapping[str, str]) -> Entry:
        computed = {**_common(entity), **counts}
        included = [name for name in names if SINCE.get(name, "") <= self._site.version]
        inner = "".join(self._element(entity, name, computed) for name in included)
        return Entry(
            path=entity.path,
            title=entity.path.rpartition(SUBSCRIPTIONS)[2],
            created=entity.timestamps.created,
            updated=entity.timestamps.updated,
            content=atom.described(f"{kind}Description", inner),
        )

    def _element(self, entity: Queue | Topic, name: str, computed: Mapping[str, str]) -> str:
        inner = computed[name] if name in computed else self._properties.shown(name, entity.settings)
        if inner is None:
            return ""
        if name == "CountDetails":
            return f'<{name} xmlns:d2p1="{atom.COUNTS}">{inner}</{name}>'
        if name.startswith("Forward") and name not in entity.settings.kept:
            inner = f"sb://{self._site.host}/{inner}"
        return f"<{name}>{inner}</{name}>"


def rule(subscription: Subscription, rule: Rule) -> Entry:
    timestamps = subscription.timestamps[rule.name]
    return Entry(
        path=f"{subscription.queue.path}/Rules/{rule.name}",
        title=rule.name,
        created=timestamps.created,
        updated=timestamps.updated,
        content=rule_xml.write(rule, timestamps.created),
    )


def _common(entity: Queue | Topic) -> dict[str, str]:
    return {
        "IsAnonymousAccessible": "false",
        "EntityAvailabilityStatus": "Available",
        "CreatedAt": atom.moment(entity.timestamps.created),
        "UpdatedAt": atom.moment(entity.timestamps.updated),
        "AccessedAt": atom.NEVER if entity.timestamps.accessed is None else atom.moment(entity.timestamps.accessed),
    }


def _queue_counts(queue: Queue) -> dict[str, str]:
    counts = {
        "Active": len(queue.messages),
        "DeadLetter": _held(queue.dead_letters),
        "Scheduled": len(queue.ingress.scheduled),
        "TransferDeadLetter": _held(queue.transfer_dead_letters),
    }
    return {
        "MessageCount": str(sum(counts.values())),
        "SizeInBytes": str(_size(queue)),
        "CountDetails": _details(counts),
    }


def _topic_counts(topic: Topic) -> dict[str, str]:
    filters = [rule.matches for subscription in topic.subscriptions.values() for rule in subscription.rules.values()]
    correlated = sum(isinstance(matches, CorrelationFilter) for matches in filters)
    held = sum(_size(subscription.queue) for subscription in topic.subscriptions.values())
    return {
        "SizeInBytes": str(held + _bytes(topic.ingress)),
        "CountDetails": _details({"Scheduled": len(topic.ingress.scheduled)}),
        "SubscriptionCount": str(len(topic.subscriptions)),
        "SqlFilterCount": str(len(filters) - correlated),
        "CorrelationFilterCount": str(correlated),
    }


def _details(counts: Mapping[str, int]) -> str:
    """Return the elements of the message counts.

    Active messages include deferred and locked ones, as in the service. No message is ever in transfer, since
    forwarding is immediate here.

    https://learn.microsoft.com/azure/service-bus-messaging/message-counters
    """
    names = ("Active", "DeadLetter", "Scheduled", "Transfer", "TransferDeadLetter")
    return "".join(atom.element(f"d2p1:{name}MessageCount", counts.get(name, 0)) for name in names)


def _held(dead_letters: Queue | None) -> int:
    return 0 if dead_letters is None else len(dead_letters.messages)


def _size(queue: Queue) -> int:
    """Return the bytes of all messages of an entity, its dead letters included."""
    parts = [part for part in (queue, queue.dead_letters, queue.transfer_dead_letters) if part is not None]
    return sum(_length(message.content) for part in parts for message in part.messages.values()) + _bytes(queue.ingress)


def _bytes(ingress: Ingress) -> int:
    return sum(_length(message.content) for message in ingress.scheduled.values())


def _length(content: Content) -> int:
    application = sum(len(name) + len(value) for name, value in content.application.items())
    return len(content.body) + sum(map(len, content.properties)) + application
