"""What Azure would refuse or we would not ship, by resource type: ranges, names, durations, and what keeps it safe.

The SDK's types know none of this. Each rule is a function of the inputs as on the wire that yields what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from peeklock.emulators.pulumi.wire import UNKNOWN
from peeklock.infra.azure.identity import Role
from tests.infra.recording import Registration

Inputs = Mapping[str, Any]
Rule = Callable[[Inputs], Iterator[str]]

ISO = re.compile(r"P(?=.)(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
ENTITY = re.compile(r"[A-Za-z0-9](?:[\w.-]{0,258}[A-Za-z0-9])?")
WINDOWS = {"PT1M", "PT5M", "PT15M", "PT30M", "PT1H", "PT6H", "PT12H", "PT24H"}
FREQUENCIES = {"PT1M", "PT5M", "PT15M", "PT30M", "PT1H"}
METRICS = {
    "Messages": {"Average", "Minimum", "Maximum"},
    "ActiveMessages": {"Average", "Minimum", "Maximum"},
    "DeadletteredMessages": {"Average", "Minimum", "Maximum"},
    "CompleteMessage": {"Total"},
}
SECRET = re.compile(r"AccountKey=|SharedAccessKey=|sig=|password", re.IGNORECASE)


def seconds(text: Any) -> float | None:
    """Of an ISO 8601 duration; None for what is none."""
    found = ISO.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    days, hours, minutes, rest = (float(one or 0) for one in found.groups())
    return days * 86_400 + hours * 3600 + minutes * 60 + rest


def duration(name: str, least: float, most: float, *, needed: bool = False) -> Rule:
    def rule(inputs: Inputs) -> Iterator[str]:
        value = inputs.get(name)
        if value is None:
            if needed:
                yield f"{name} is missing"
        elif (length := seconds(value)) is None:
            yield f"{name}={value!r} is no ISO 8601 duration"
        elif not least <= length <= most:
            yield f"{name}={value!r} is not within {least:g} and {most:g} seconds"

    return rule


def number(name: str, least: float, most: float) -> Rule:
    def rule(inputs: Inputs) -> Iterator[str]:
        value = at(inputs, name)
        if value is not None and not (isinstance(value, int | float) and least <= value <= most):
            yield f"{name}={value!r} is not within {least:g} and {most:g}"

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
    is_letters = str(inputs.get("queueName", "")).endswith("-letters")
    if not is_letters and not inputs.get("forwardDeadLetteredMessagesTo"):
        yield "dead letters stay where no alarm looks: forwardDeadLetteredMessagesTo is missing"
    if not is_letters and not inputs.get("deadLetteringOnMessageExpiration"):
        yield "what expires is lost: deadLetteringOnMessageExpiration is not set"
    if inputs.get("maxMessageSizeInKilobytes") is not None:
        yield "maxMessageSizeInKilobytes: Premium only"


def _app(inputs: Inputs) -> Iterator[str]:
    told = {one["name"]: one["value"] for one in at(inputs, "siteConfig.appSettings") or ()}
    for name, value in told.items():
        if SECRET.search(value):
            yield f"appSettings: {name} holds a secret"
    for refused in ("FUNCTIONS_WORKER_RUNTIME", "FUNCTIONS_EXTENSION_VERSION", "WEBSITE_RUN_FROM_PACKAGE"):
        if refused in told:
            yield f"appSettings: Flex Consumption refuses {refused}"
    if "PEEKLOCK_SERVICEBUS__fullyQualifiedNamespace" not in told:
        yield "appSettings: no connection by identity"
    for refused in ("functionAppScaleLimit", "linuxFxVersion", "netFrameworkVersion", "alwaysOn"):
        if refused in (inputs.get("siteConfig") or {}):
            yield f"siteConfig: Flex Consumption refuses {refused}"


def _metric(inputs: Inputs) -> Iterator[str]:
    if inputs.get("windowSize") not in WINDOWS or inputs.get("evaluationFrequency") not in FREQUENCIES:
        yield f"window {inputs.get('windowSize')!r} or frequency {inputs.get('evaluationFrequency')!r} is not offered"
    elif (seconds(inputs["evaluationFrequency"]) or 0) > (seconds(inputs["windowSize"]) or 0):
        yield "the frequency is longer than the window"
    for one in at(inputs, "criteria.allOf") or ():
        if one.get("timeAggregation") not in METRICS.get(one.get("metricName"), set()):
            yield f"metric {one.get('metricName')!r} has no {one.get('timeAggregation')!r}"
        if [dimension["name"] for dimension in one.get("dimensions", ())] != ["EntityName"]:
            yield "the metric is of the whole namespace: dimension EntityName is missing"


def _query(inputs: Inputs) -> Iterator[str]:
    if (seconds(inputs.get("evaluationFrequency")) or 1e9) > (seconds(inputs.get("windowSize")) or 0):
        yield "the frequency is longer than the window, or one is missing"
    for one in at(inputs, "criteria.allOf") or ():
        periods = one.get("failingPeriods", {})
        if not 1 <= periods.get("minFailingPeriodsToAlert", 0) <= periods.get("numberOfEvaluationPeriods", 0) <= 6:
            yield f"failingPeriods={periods!r}"
        if one.get("query") != UNKNOWN and not re.search(rf"\b{one.get('metricMeasureColumn')} = ", one["query"]):
            yield f"the query has no column {one.get('metricMeasureColumn')!r}"


def _role(inputs: Inputs) -> Iterator[str]:
    if inputs.get("scope") != UNKNOWN and len(str(inputs.get("scope", "")).split("/")) < 9:
        yield f"scope={inputs.get('scope')!r} is wider than one resource"
    role = str(inputs.get("roleDefinitionId", "")).rpartition("/")[2]
    if role not in {*(one.value for one in Role), UNKNOWN}:
        yield f"role {role!r} is not among the listed ones"


def _told(inputs: Inputs) -> Iterator[str]:
    if not (at(inputs, "actions.actionGroups") or [one for one in inputs.get("actions", ()) if "actionGroupId" in one]):
        yield "nobody is told: no action group"


def _deployment(inputs: Inputs) -> Iterator[str]:
    for one in at(inputs, "properties.template.resources") or ():
        uri = one["properties"]["packageUri"]
        if not re.fullmatch(r"https://[a-z0-9-]+\.blob\.core\.windows\.net/\S+/released-package\.zip", uri):
            yield f"packageUri={uri!r}: One Deploy wants released-package.zip, and no signature in the address"


RULES: Mapping[str, tuple[Rule, ...]] = {
    "servicebus:Namespace": (
        one_of("sku.name", "Standard", "Premium"),
        one_of("disableLocalAuth", True),
        one_of("minimumTlsVersion", "1.2", "1.3"),
    ),
    "servicebus:Queue": (
        like("queueName", ENTITY),
        duration("lockDuration", 5, 300, needed=True),
        duration("defaultMessageTimeToLive", 1, 1e12, needed=True),
        duration("duplicateDetectionHistoryTimeWindow", 20, 7 * 86_400),
        number("maxDeliveryCount", 1, 2000),
        _queue,
    ),
    "servicebus:Topic": (like("topicName", ENTITY), duration("defaultMessageTimeToLive", 1, 1e12)),
    "servicebus:Subscription": (
        like("subscriptionName", re.compile(r"[A-Za-z0-9][\w.-]{0,49}")),
        duration("lockDuration", 5, 300),
        number("maxDeliveryCount", 1, 2000),
    ),
    "storage:StorageAccount": (
        like("accountName", re.compile(r"[a-z0-9]{3,24}")),
        one_of("minimumTlsVersion", "TLS1_2", "TLS1_3"),
        one_of("enableHttpsTrafficOnly", True),
        one_of("allowBlobPublicAccess", False),
    ),
    "storage:BlobContainer": (
        like("containerName", re.compile(r"[a-z0-9](?!.*--)[a-z0-9-]{1,61}[a-z0-9]")),
        one_of("publicAccess", "None"),
    ),
    "storage:Table": (like("tableName", re.compile(r"[A-Za-z][A-Za-z0-9]{2,62}")),),
    "web:AppServicePlan": (one_of("sku.name", "FC1"), one_of("sku.tier", "FlexConsumption"), one_of("reserved", True)),
    "web:WebApp": (
        one_of("httpsOnly", True),
        one_of("siteConfig.minTlsVersion", "1.2", "1.3"),
        one_of("identity.type", "UserAssigned"),
        one_of("functionAppConfig.deployment.storage.authentication.type", "UserAssignedIdentity"),
        one_of("functionAppConfig.scaleAndConcurrency.instanceMemoryMB", 512, 2048, 4096),
        number("functionAppConfig.scaleAndConcurrency.maximumInstanceCount", 1, 1000),
        one_of("functionAppConfig.runtime.version", "3.10", "3.11", "3.12", "3.13"),
        _app,
    ),
    "web:WebAppFtpAllowed": (one_of("allow", False),),
    "web:WebAppScmAllowed": (one_of("allow", False),),
    "monitor:MetricAlert": (one_of("severity", 0, 1, 2, 3, 4), one_of("enabled", True), _metric, _told),
    "monitor:ScheduledQueryRule": (one_of("severity", 0, 1, 2, 3, 4), one_of("enabled", True), _query, _told),
    "monitor:ActionGroup": (like("groupShortName", re.compile(r".{1,12}")),),
    "operationalinsights:Workspace": (number("retentionInDays", 30, 730), one_of("features.disableLocalAuth", True)),
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
NO_RULES = {"resources:ResourceGroup", "managedidentity:UserAssignedIdentity", "portal:Dashboard", "storage:Blob"}


def broken(one: Registration) -> list[str]:
    """What is wrong with a registration. A type that has no rules, and is not known to need none, is wrong too."""
    if one.read or not one.custom:
        return []
    kind = one.type.removeprefix("azure-native:")
    if kind not in RULES and kind not in NO_RULES:
        return [f"{kind} has no rules"]
    found = [said for rule in RULES.get(kind, ()) for said in rule(one.inputs)]
    if kind in TAGGED and not {"app", "stack"} <= set(one.inputs.get("tags", ())):
        found.append("tags app and stack are missing")
    return [f"{kind} {one.name}: {said}" for said in found]
