"""Rules of Service Bus: namespaces, queues, topics and subscriptions."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cloudqueues.pulumi.rules.azure_parents import PARENT
from cloudqueues.pulumi.rules.checks import (
    Rule,
    Values,
    Violations,
    absent,
    duration_within,
    first,
    matches,
    only_if,
    rule,
    seconds,
    where,
    within,
)
from cloudqueues.quotas import azure as quotas

NAMES = "https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules"
QUOTAS = "https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas"
LOCKS = "https://learn.microsoft.com/azure/service-bus-messaging/message-transfers-locks-settlement"
DUPLICATES = "https://learn.microsoft.com/azure/service-bus-messaging/duplicate-detection"
LARGE_MESSAGES = (
    "https://learn.microsoft.com/azure/service-bus-messaging/service-bus-premium-messaging#large-messages-support"
)
TIERS = "https://azure.microsoft.com/pricing/details/service-bus/"
MESSAGING_UNITS = "https://learn.microsoft.com/azure/service-bus-messaging/service-bus-premium-messaging#messaging-unit---how-many-are-needed"

GIGABYTE = 1024
"""Megabytes."""


def name_rule(path: str, words: str, pattern: str) -> Rule:
    """Return a rule of a physical name, with the suffix of automatic naming."""
    return Rule(words=f"{words}, including what automatic naming adds", source=NAMES, check=matches(path, pattern))


def _tier(*names: str) -> Callable[[Values], bool]:
    """Return a test whether the namespace is of one of these tiers. False for a namespace of another stack."""
    return lambda inputs: first(inputs, f"{PARENT}.sku.name") in names


def _units(inputs: Values) -> Violations:
    """Yield a number of messaging units that a premium namespace cannot have."""
    units = first(inputs, "sku.capacity")
    partitions = inputs.get("premiumMessagingPartitions") or 1
    allowed = {partitions * count for count in quotas.MESSAGING_UNITS}
    if first(inputs, "sku.name") == "Premium" and units is not None and units not in allowed:
        yield "sku.capacity", units


def _expires_sooner(inputs: Values) -> Violations:
    """Yield an idle time that is shorter than the least."""
    idle = inputs.get("autoDeleteOnIdle")
    if idle is not None and (seconds(idle) or 0) < quotas.LEAST_IDLE_SECONDS:
        yield "autoDeleteOnIdle", idle


def _forwards_to_itself(inputs: Values) -> Violations:
    for key in ("forwardTo", "forwardDeadLetteredMessagesTo"):
        if inputs.get(key) and inputs.get(key) == inputs.get("queueName"):
            yield key, inputs[key]


OF_STANDARD = (
    "requiresSession",
    "requiresDuplicateDetection",
    "forwardTo",
    "forwardDeadLetteredMessagesTo",
)
"""Properties that the Basic tier lacks. See TIERS."""

SIZES = (
    rule(
        "only the Premium tier has messages of another size",
        LARGE_MESSAGES,
        only_if(_tier("Basic", "Standard"), absent("maxMessageSizeInKilobytes")),
        f"{PARENT}.sku",
    ),
    rule(
        f"a message's limit is {quotas.LEAST_MESSAGE_KILOBYTES:,} to {quotas.MESSAGE_KILOBYTES:,} KB",
        LARGE_MESSAGES,
        within("maxMessageSizeInKilobytes", quotas.LEAST_MESSAGE_KILOBYTES, quotas.MESSAGE_KILOBYTES),
    ),
    rule(
        f"an entity has whole gigabytes, up to {quotas.PREMIUM_ENTITY_MEGABYTES:,} MB",
        QUOTAS,
        where(
            "maxSizeInMegabytes",
            lambda size: size % GIGABYTE == 0 and GIGABYTE <= size <= quotas.PREMIUM_ENTITY_MEGABYTES,
        ),
    ),
    rule(
        f"an entity of this tier has up to {quotas.ENTITY_MEGABYTES:,} MB",
        QUOTAS,
        only_if(_tier("Basic", "Standard"), within("maxSizeInMegabytes", 0, quotas.ENTITY_MEGABYTES)),
        f"{PARENT}.sku",
    ),
)
NO_TOPICS = rule(
    "the Basic tier has no topics and no subscriptions",
    TIERS,
    only_if(_tier("Basic"), absent("namespaceName")),
    f"{PARENT}.sku",
)

DELIVERY = (
    rule(
        f"a lock is {quotas.LEAST_LOCK_SECONDS} to {quotas.LOCK_SECONDS} s",
        LOCKS,
        duration_within("lockDuration", quotas.LEAST_LOCK_SECONDS, quotas.LOCK_SECONDS),
    ),
    rule(
        f"a message is delivered 1 to {quotas.DELIVERIES:,} times",
        QUOTAS,
        within("maxDeliveryCount", 1, quotas.DELIVERIES),
    ),
    rule(
        f"an idle entity is deleted after {quotas.LEAST_IDLE_SECONDS} s or more",
        QUOTAS,
        _expires_sooner,
        "autoDeleteOnIdle",
    ),
)
DUPLICATE_DETECTION = rule(
    f"duplicates are detected for {quotas.LEAST_DUPLICATES_SECONDS} to {quotas.DUPLICATES_SECONDS:,} s",
    DUPLICATES,
    duration_within("duplicateDetectionHistoryTimeWindow", quotas.LEAST_DUPLICATES_SECONDS, quotas.DUPLICATES_SECONDS),
)
ENTITY_NAME = r"[A-Za-z0-9](?:[\w./~-]{0,258}[A-Za-z0-9])?"

RULES: Mapping[str, tuple[Rule, ...]] = {
    "servicebus:Namespace": (
        name_rule(
            "namespaceName",
            "a namespace's name has 6 to 50 letters, digits and hyphens, and begins with a letter",
            r"[A-Za-z][A-Za-z0-9-]{4,48}[A-Za-z0-9]",
        ),
        rule(
            f"a premium namespace has {', '.join(map(str, quotas.MESSAGING_UNITS))} messaging units for each partition",
            MESSAGING_UNITS,
            _units,
            "sku",
            "premiumMessagingPartitions",
        ),
    ),
    "servicebus:Queue": (
        name_rule("queueName", "a queue's name has 1 to 260 characters and ends with a letter or digit", ENTITY_NAME),
        *DELIVERY,
        DUPLICATE_DETECTION,
        *SIZES,
        *(
            rule(
                f"the Basic tier has no {name}",
                TIERS,
                only_if(_tier("Basic"), where(name, lambda value: not value)),
                f"{PARENT}.sku",
            )
            for name in OF_STANDARD
        ),
        rule(
            "an entity does not forward to itself",
            QUOTAS,
            _forwards_to_itself,
            "queueName",
            "forwardTo",
            "forwardDeadLetteredMessagesTo",
        ),
    ),
    "servicebus:Topic": (
        name_rule("topicName", "a topic's name has 1 to 260 characters and ends with a letter or digit", ENTITY_NAME),
        DUPLICATE_DETECTION,
        *SIZES,
        NO_TOPICS,
    ),
    "servicebus:Subscription": (
        name_rule(
            "subscriptionName",
            "a subscription's name has 1 to 50 characters",
            r"[A-Za-z0-9](?:[\w.-]{0,48}[A-Za-z0-9])?",
        ),
        *DELIVERY,
        NO_TOPICS,
    ),
}
