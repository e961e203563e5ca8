"""The stand-in for Azure: queues, topics and subscriptions are applied to the Service Bus emulator, and the rest is
recorded. An emulator is one namespace, so names of entities are once in a program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudqueues.errors import ConfigError
from cloudqueues.pulumi import invented
from cloudqueues.pulumi.kinds import Cloud, Kind, Values
from cloudqueues.servicebus import ServiceBusEmulator
from cloudqueues.servicebus.config import settings_of
from cloudqueues.servicebus.entities import Entities

RECORDED = frozenset(
    f"azure-native:{name}"
    for name in (
        "applicationinsights:Component",
        "applicationinsights:Workbook",
        "authorization:RoleAssignment",
        "managedidentity:UserAssignedIdentity",
        "monitor:ActionGroup",
        "monitor:DiagnosticSetting",
        "monitor:MetricAlert",
        "monitor:ScheduledQueryRule",
        "operationalinsights:Workspace",
        "portal:Dashboard",
        "resources:Deployment",
        "resources:ResourceGroup",
        "servicebus:Namespace",
        "servicebus:Rule",
        "storage:Blob",
        "storage:BlobContainer",
        "storage:BlobServiceProperties",
        "storage:StorageAccount",
        "storage:Table",
        "web:AppServicePlan",
        "web:WebApp",
        "web:WebAppApplicationSettings",
        "web:WebAppDiagnosticLogsConfiguration",
        "web:WebAppFtpAllowed",
        "web:WebAppScmAllowed",
    )
)


def cloud(emulator: ServiceBusEmulator) -> Cloud:
    entities = emulator.entities
    return Cloud(
        package="azure-native",
        applied={
            "azure-native:servicebus:Queue": _entity(entities, "Queue", "queueName", _QUEUE),
            "azure-native:servicebus:Topic": _entity(entities, "Topic", "topicName", _TOPIC),
            "azure-native:servicebus:Subscription": _entity(
                entities, "Subscription", "subscriptionName", _SUBSCRIPTION
            ),
        },
        recorded=RECORDED,
        functions={name: one for name, one in invented.FUNCTIONS.items() if name.startswith("azure-native:")},
    )


_TOPIC = ("defaultMessageTimeToLive", "requiresDuplicateDetection", "duplicateDetectionHistoryTimeWindow")
_SUBSCRIPTION = (
    "lockDuration",
    "maxDeliveryCount",
    "requiresSession",
    "defaultMessageTimeToLive",
    "deadLetteringOnMessageExpiration",
    "forwardTo",
    "forwardDeadLetteredMessagesTo",
)
_QUEUE = (*_SUBSCRIPTION, *_TOPIC[1:])
"""What the emulator honours, by ARM's names, which but for their first letter are those of Microsoft's own emulator.
https://learn.microsoft.com/azure/templates/microsoft.servicebus/namespaces/queues"""

_FIXED = frozenset({"requiresSession", "requiresDuplicateDetection", "enablePartitioning"})
"""https://learn.microsoft.com/azure/service-bus-messaging/service-bus-resource-manager-exceptions"""
_PARENTS = frozenset({"namespaceName", "resourceGroupName", "topicName"})


def _entity(entities: Entities, kind: str, key: str, honoured: tuple[str, ...]) -> Kind:
    def path(inputs: Values) -> str:
        return f"{inputs['topicName']}/Subscriptions/{inputs[key]}" if kind == "Subscription" else str(inputs[key])

    def properties(inputs: Values) -> dict[str, Any]:
        return {name[0].upper() + name[1:]: inputs[name] for name in honoured if name in inputs}

    def create(inputs: Values) -> tuple[str, Values]:
        entities.add(kind, path(inputs), properties(inputs))
        type_ = f"azure-native:servicebus:{kind}"
        return invented.state(type_, inputs[key], inputs)

    def read(id_: str, known: Values) -> Values | None:
        if key not in known:
            raise ConfigError(f"{id_} is brought along, and is not on this machine; make it in this stack")
        there = entities.settings(path(known))
        return None if there is None else _drifted(known, honoured, there, settings_of(kind, properties(known)))

    def update(_: str, olds: Values, news: Values) -> Values:
        entities.change(kind, path(olds), properties(news))
        return {}

    return Kind(
        create=create,
        read=read,
        update=update,
        delete=lambda _, state: entities.remove(path(state)),
        replaces=_FIXED | _PARENTS | {key},
    )


_FIELDS = {
    "lockDuration": "lock_duration",
    "maxDeliveryCount": "max_delivery_count",
    "requiresSession": "requires_session",
    "defaultMessageTimeToLive": "default_ttl",
    "deadLetteringOnMessageExpiration": "dead_letter_expired",
    "forwardTo": "forward_to",
    "forwardDeadLetteredMessagesTo": "forward_dead_letters_to",
    "duplicateDetectionHistoryTimeWindow": "duplicate_window",
}


def _drifted(known: Values, honoured: tuple[str, ...], there: Any, wanted: Any) -> Mapping[str, Any]:
    """Only what differs from what was said, as ARM writes it."""
    live: dict[str, Any] = {}
    for name in honoured:
        field = _FIELDS.get(name)
        if field and name in known and getattr(there, field) != getattr(wanted, field):
            value = getattr(there, field)
            live[name] = f"PT{value:g}S" if isinstance(known[name], str) and isinstance(value, float) else value
    return live
