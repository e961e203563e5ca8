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

    def entity(self, one: Queue | Topic) -> Entry:
        if isinstance(one, Topic):
            return self._entry(one, "Topic", TOPIC, _topic_counts(one))
        return self._entry(one, "Queue", QUEUE, _queue_counts(one))

    def subscription(self, one: Queue) -> Entry:
        """Return the entry of a subscription.

        One that was never accessed shows its creation time, unlike a queue or a topic: azservicebus' live test
        `TestAdminClient_ListSubscriptionRuntimeProperties`.
        """
        used = one.timestamps.created if one.timestamps.accessed is None else one.timestamps.accessed
        return self._entry(one, "Subscription", SUBSCRIPTION, {**_queue_counts(one), "AccessedAt": atom.moment(used)})

    def _entry(self, one: Queue | Topic, kind: str, names: tuple[str, ...], counts: Mapping[str, str]) -> Entry:
        computed = {**_common(one), **counts}
        known = [name for name in names if SINCE.get(name, "") <= self._site.version]
        inner = "".join(self._element(one, name, computed) for name in known)
        return Entry(
            path=one.path,
            title=one.path.rpartition(SUBSCRIPTIONS)[2],
            created=one.timestamps.created,
            updated=one.timestamps.updated,
            content=atom.described(f"{kind}Description", inner),
        )

    def _element(self, one: Queue | Topic, name: str, computed: Mapping[str, str]) -> str:
        inner = computed[name] if name in computed else self._properties.shown(name, one.settings)
        if inner is None:
            return ""
        if name == "CountDetails":
            return f'<{name} xmlns:d2p1="{atom.COUNTS}">{inner}</{name}>'
        return f"<{name}>{f'sb://{self._site.host}/{inner}' if name.startswith('Forward') else inner}</{name}>"


def rule(subscription: Subscription, one: Rule) -> Entry:
    timestamps = subscription.timestamps[one.name]
    return Entry(
        path=f"{subscription.queue.path}/Rules/{one.name}",
        title=one.name,
        created=timestamps.created,
        updated=timestamps.updated,
        content=rule_xml.write(one, timestamps.created),
    )


def _common(one: Queue | Topic) -> dict[str, str]:
    return {
        "IsAnonymousAccessible": "false",
        "EntityAvailabilityStatus": "Available",
        "CreatedAt": atom.moment(one.timestamps.created),
        "UpdatedAt": atom.moment(one.timestamps.updated),
        "AccessedAt": atom.NEVER if one.timestamps.accessed is None else atom.moment(one.timestamps.accessed),
    }


def _queue_counts(one: Queue) -> dict[str, str]:
    counts = {
        "Active": len(one.messages),
        "DeadLetter": _held(one.dead_letters),
        "Scheduled": len(one.ingress.scheduled),
        "TransferDeadLetter": _held(one.transfer_dead_letters),
    }
    return {
        "MessageCount": str(sum(counts.values())),
        "SizeInBytes": str(_size(one)),
        "CountDetails": _details(counts),
    }


def _topic_counts(one: Topic) -> dict[str, str]:
    filters = [rule.matches for subscription in one.subscriptions.values() for rule in subscription.rules.values()]
    correlated = sum(isinstance(matches, CorrelationFilter) for matches in filters)
    held = sum(_size(subscription.queue) for subscription in one.subscriptions.values())
    return {
        "SizeInBytes": str(held + _bytes(one.ingress)),
        "CountDetails": _details({"Scheduled": len(one.ingress.scheduled)}),
        "SubscriptionCount": str(len(one.subscriptions)),
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


def _size(one: Queue) -> int:
    """Return the bytes of all messages of an entity, its dead letters included."""
    parts = [part for part in (one, one.dead_letters, one.transfer_dead_letters) if part is not None]
    return sum(_length(message.content) for part in parts for message in part.messages.values()) + _bytes(one.ingress)


def _bytes(ingress: Ingress) -> int:
    return sum(_length(message.content) for message in ingress.scheduled.values())


def _length(content: Content) -> int:
    application = sum(len(name) + len(value) for name, value in content.application.items())
    return len(content.body) + sum(map(len, content.properties)) + application
