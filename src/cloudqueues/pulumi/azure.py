"""Stand-in for Azure: queues, topics and subscriptions are applied to the Service Bus emulator, the rest is recorded.

An emulator is one namespace, so the name of an entity is unique in a program.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudqueues.errors import ConfigError
from cloudqueues.pulumi import fake_outputs
from cloudqueues.pulumi.resources import Cloud, MissingInput, ResourceHandler, Values
from cloudqueues.pulumi.rules.azure_parents import with_parent
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
    """Return Azure applied to an emulator."""
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
        functions={
            name: function for name, function in fake_outputs.FUNCTIONS.items() if name.startswith("azure-native:")
        },
        with_defaults=with_location,
        with_parent=with_parent,
    )


GROUP = "azure-native:resources:ResourceGroup"


def with_location(type_: str, inputs: Values, config: Values) -> Values:
    """Return the inputs of a resource group with its location, by default `azure-native:location`. Raises MissingInput.

    Other resources have the location of their group by default.
    https://www.pulumi.com/registry/packages/azure-native/installation-configuration/#configuration-options
    """
    if type_ != GROUP or inputs.get("location"):
        return inputs
    if not config.get("location"):
        raise MissingInput(
            "location: missing required property 'location'. Either set it explicitly or configure it with"
            " 'pulumi config set azure-native:location <value>'."
        )
    return {**inputs, "location": config["location"]}


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
"""Properties that the emulator supports, by ARM's names: those of Microsoft's own emulator but for their first letter.
https://learn.microsoft.com/azure/templates/microsoft.servicebus/namespaces/queues"""

_FIXED = frozenset({"requiresSession", "requiresDuplicateDetection", "enablePartitioning"})
"""https://learn.microsoft.com/azure/service-bus-messaging/service-bus-resource-manager-exceptions"""
_PARENTS = frozenset({"namespaceName", "resourceGroupName", "topicName"})


def _entity(entities: Entities, kind: str, key: str, supported: tuple[str, ...]) -> ResourceHandler:
    def path(inputs: Values) -> str:
        return f"{inputs['topicName']}/Subscriptions/{inputs[key]}" if kind == "Subscription" else str(inputs[key])

    def properties(inputs: Values) -> dict[str, Any]:
        return {name[0].upper() + name[1:]: inputs[name] for name in supported if name in inputs}

    def create(inputs: Values) -> tuple[str, Values]:
        entities.add(kind, path(inputs), properties(inputs))
        type_ = f"azure-native:servicebus:{kind}"
        return fake_outputs.state(type_, inputs[key], inputs)

    def read(id_: str, state: Values) -> Values | None:
        if key not in state:
            raise ConfigError(f"{id_} exists only in the cloud, and not on this machine: create it in this stack")
        live = entities.settings(path(state))
        return None if live is None else _drifted(state, supported, live, settings_of(kind, properties(state)))

    def update(_: str, olds: Values, news: Values) -> Values:
        entities.change(kind, path(olds), properties(news))
        return {}

    return ResourceHandler(
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


def _drifted(state: Values, supported: tuple[str, ...], live: Any, wanted: Any) -> Mapping[str, Any]:
    """Return the live values, as ARM writes them, of the properties that differ from the state."""
    drifted: dict[str, Any] = {}
    for name in supported:
        field = _FIELDS.get(name)
        if field and name in state and getattr(live, field) != getattr(wanted, field):
            value = getattr(live, field)
            drifted[name] = f"PT{value:g}S" if isinstance(state[name], str) and isinstance(value, float) else value
    return drifted
