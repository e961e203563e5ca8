"""Requirements for what we ship on Azure, by resource type: safety, and alarms that reach somebody. What Azure itself
refuses is in the stand-in's rules, which are asked too.

Each rule is a function of the inputs as on the wire that yields what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cloudqueues.pulumi.wire import UNKNOWN
from peeklock.infra.azure.identity import Role
from tests.infra.models.check import refused
from tests.infra.recording import Registration

Inputs = Mapping[str, Any]
Rule = Callable[[Inputs], Iterator[str]]

SECRET = re.compile(r"AccountKey=|SharedAccessKey=|sig=|password", re.IGNORECASE)


def needed(name: str) -> Rule:
    def rule(inputs: Inputs) -> Iterator[str]:
        if inputs.get(name) is None:
            yield f"{name} is missing"

    return rule


def one_of(name: str, *allowed: Any) -> Rule:
    def rule(inputs: Inputs) -> Iterator[str]:
        value = at(inputs, name)
        if value not in allowed:
            yield f"{name}={value!r} is none of {allowed}"

    return rule


def like(name: str, pattern: re.Pattern[str]) -> Rule:
    def rule(inputs: Inputs) -> Iterator[str]:
        value = inputs.get(name)
        if value is not None and not pattern.fullmatch(value):
            yield f"{name}={value!r} does not match {pattern.pattern}"

    return rule


def at(inputs: Inputs, path: str) -> Any:
    for key in path.split("."):
        inputs = inputs.get(key) if isinstance(inputs, Mapping) else None
    return inputs


def _queue(inputs: Inputs) -> Iterator[str]:
    is_dead_letters = str(inputs.get("queueName", "")).endswith("-dead-letters")
    if not is_dead_letters and not inputs.get("forwardDeadLetteredMessagesTo"):
        yield "dead letters stay where no alarm looks: forwardDeadLetteredMessagesTo is missing"
    if not is_dead_letters and not inputs.get("deadLetteringOnMessageExpiration"):
        yield "what expires is lost: deadLetteringOnMessageExpiration is not set"
    if inputs.get("maxMessageSizeInKilobytes") is not None:
        yield "maxMessageSizeInKilobytes: Premium only"


def _app(inputs: Inputs) -> Iterator[str]:
    app_settings = {setting["name"]: setting["value"] for setting in at(inputs, "siteConfig.appSettings") or ()}
    for name, value in app_settings.items():
        if SECRET.search(value):
            yield f"appSettings: {name} holds a secret"
    if "PEEKLOCK_SERVICEBUS__fullyQualifiedNamespace" not in app_settings:
        yield "appSettings: no connection by identity"


def _metric(inputs: Inputs) -> Iterator[str]:
    for criterion in at(inputs, "criteria.allOf") or ():
        if [dimension["name"] for dimension in criterion.get("dimensions", ())] != ["EntityName"]:
            yield "the metric is of the whole namespace: dimension EntityName is missing"


def _query(inputs: Inputs) -> Iterator[str]:
    for criterion in at(inputs, "criteria.allOf") or ():
        if criterion.get("query") != UNKNOWN and not re.search(
            rf"\b{criterion.get('metricMeasureColumn')} = ", criterion["query"]
        ):
            yield f"the query has no column {criterion.get('metricMeasureColumn')!r}"


def _role(inputs: Inputs) -> Iterator[str]:
    if inputs.get("scope") != UNKNOWN and len(str(inputs.get("scope", "")).split("/")) < 9:
        yield f"scope={inputs.get('scope')!r} is wider than one resource"
    role = str(inputs.get("roleDefinitionId", "")).rpartition("/")[2]
    if role not in {*(role_value.value for role_value in Role), UNKNOWN}:
        yield f"role {role!r} is not among the listed ones"


def _told(inputs: Inputs) -> Iterator[str]:
    if not (
        at(inputs, "actions.actionGroups")
        or [action for action in inputs.get("actions", ()) if "actionGroupId" in action]
    ):
        yield "nobody is told: no action group"


def _deployment(inputs: Inputs) -> Iterator[str]:
    for resource in at(inputs, "properties.template.resources") or ():
        uri = resource["properties"]["packageUri"]
        if not re.fullmatch(r"https://[a-z0-9-]+\.blob\.core\.windows\.net/\S+/released-package\.zip", uri):
            yield f"packageUri={uri!r}: One Deploy wants released-package.zip, and no signature in the address"


RULES: Mapping[str, tuple[Rule, ...]] = {
    "servicebus:Namespace": (
        one_of("sku.name", "Standard", "Premium"),
        one_of("disableLocalAuth", True),
        one_of("minimumTlsVersion", "1.2", "1.3"),
    ),
    "servicebus:Queue": (needed("lockDuration"), needed("defaultMessageTimeToLive"), _queue),
    "storage:StorageAccount": (
        one_of("minimumTlsVersion", "TLS1_2", "TLS1_3"),
        one_of("enableHttpsTrafficOnly", True),
        one_of("allowBlobPublicAccess", False),
    ),
    "storage:BlobContainer": (one_of("publicAccess", "None"),),
    "web:AppServicePlan": (one_of("sku.name", "FC1"), one_of("sku.tier", "FlexConsumption"), one_of("reserved", True)),
    "web:WebApp": (
        one_of("httpsOnly", True),
        one_of("siteConfig.minTlsVersion", "1.2", "1.3"),
        one_of("identity.type", "UserAssigned"),
        one_of("functionAppConfig.deployment.storage.authentication.type", "UserAssignedIdentity"),
        one_of("functionAppConfig.runtime.version", "3.10", "3.11", "3.12", "3.13"),
        _app,
    ),
    "web:WebAppFtpAllowed": (one_of("allow", False),),
    "web:WebAppScmAllowed": (one_of("allow", False),),
    "monitor:MetricAlert": (one_of("enabled", True), _metric, _told),
    "monitor:ScheduledQueryRule": (one_of("enabled", True), _query, _told),
    "operationalinsights:Workspace": (one_of("features.disableLocalAuth", True),),
    "applicationinsights:Component": (one_of("disableLocalAuth", True),),
    "authorization:RoleAssignment": (one_of("principalType", "ServicePrincipal"), _role),
    "resources:Deployment": (one_of("properties.mode", "Incremental"), _deployment),
}

TAGGED = {
    "servicebus:Namespace",
    "storage:StorageAccount",
    "web:AppServicePlan",
    "web:WebApp",
    "monitor:MetricAlert",
    "monitor:ScheduledQueryRule",
    "monitor:ActionGroup",
    "operationalinsights:Workspace",
    "applicationinsights:Component",
    "portal:Dashboard",
    "managedidentity:UserAssignedIdentity",
    "resources:ResourceGroup",
}
NO_RULES = {
    "managedidentity:UserAssignedIdentity",
    "monitor:ActionGroup",
    "portal:Dashboard",
    "resources:ResourceGroup",
    "servicebus:Subscription",
    "servicebus:Topic",
    "storage:Blob",
    "storage:Table",
}


def broken(registration: Registration) -> list[str]:
    """Return what is wrong with a registration. A type that has no rules, and is not known to need none, is wrong
    too."""
    if registration.read or not registration.custom:
        return []
    kind = registration.type.removeprefix("azure-native:")
    if kind not in RULES and kind not in NO_RULES:
        return [f"{kind} has no rules"]
    violations = [said for rule in RULES.get(kind, ()) for said in rule(registration.inputs)]
    if kind in TAGGED and not {"app", "stack"} <= set(registration.inputs.get("tags", ())):
        violations.append("tags app and stack are missing")
    return [*refused(registration), *(f"{kind} {registration.name}: {said}" for said in violations)]
