"""Rules for Service Bus, Functions, storage and role assignments."""

from __future__ import annotations

import re
from typing import Any

from peeklock.infra.policy.rules import FEWEST_DELIVERIES, Found, Resource, Rule, Stack
from peeklock.quotas import azure as quotas

QUEUE, SUBSCRIPTION = "azure-native:servicebus:Queue", "azure-native:servicebus:Subscription"
NAMESPACE, ASSIGNMENT = "azure-native:servicebus:Namespace", "azure-native:authorization:RoleAssignment"
APP, STORAGE = "azure-native:web:WebApp", "azure-native:storage:StorageAccount"
WORKSPACE = "azure-native:operationalinsights:Workspace"
ALERTS = ("azure-native:monitor:MetricAlert", "azure-native:monitor:ScheduledQueryRule")

BROAD = {
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": "Owner",
    "b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor",
    "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9": "User Access Administrator",
    "f58310d9-a9f6-439a-9e8d-f62e7b41a168": "Role Based Access Control Administrator",
    "090c5cfd-751d-490a-894a-3ce6f1109419": "Azure Service Bus Data Owner",
}
"""Roles by their ids. https://learn.microsoft.com/azure/role-based-access-control/built-in-roles"""

LIFE = "defaultMessageTimeToLive"

DELIVERIES = 10
"""Service Bus's default. https://learn.microsoft.com/azure/service-bus-messaging/service-bus-dead-letter-queues"""

SHORTEST = 60
"""Seconds: a lock's default, and the least after which a host's renewal is still in time."""

_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")


def seconds(text: Any) -> float | None:
    """Return the seconds of an ISO 8601 duration as ARM writes it; None for anything else."""
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    days, hours, minutes, rest = (float(group or 0) for group in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def _dead_letters(stack: Stack) -> Found:
    for queue in stack.of(QUEUE, SUBSCRIPTION):
        life = seconds(queue.props.get(LIFE))
        expires = life is not None and life < 10_000 * 86_400
        if expires and not queue.props.get("deadLetteringOnMessageExpiration"):
            yield queue, "messages that expire in it are lost: set deadLetteringOnMessageExpiration"


def _wildcards(stack: Stack) -> Found:
    for assignment in stack.of(ASSIGNMENT):
        role = str(assignment.props.get("roleDefinitionId", "")).rpartition("/")[2].lower()
        if role in BROAD:
            yield assignment, f"{BROAD[role]} has all permissions: give a role for data, on one resource"
        elif _is_wide(assignment.props.get("scope")):
            yield (
                assignment,
                f"it is granted on {assignment.props['scope']}, and everything in it: give the resource's id as its scope",
            )


def _is_wide(scope: Any) -> bool:
    """Return whether the scope is a subscription, a management group or a resource group."""
    if not isinstance(scope, str):
        return False
    words = scope.strip("/").split("/")
    return (words[0] == "subscriptions" and len(words) in (2, 4)) or "managementGroups" in words


def _no_keys(stack: Stack) -> Found:
    for namespace in stack.of(NAMESPACE):
        if namespace.props.get("disableLocalAuth") is not True:
            yield namespace, "its key grants all permissions: set disableLocalAuth, and connect by identity"
    for account in stack.of(STORAGE):
        if account.props.get("allowBlobPublicAccess") is True:
            yield account, "anybody may read its blobs: leave allowBlobPublicAccess out"


def _tls(stack: Stack) -> Found:
    for resource in stack.of(NAMESPACE, STORAGE):
        if str(resource.props.get("minimumTlsVersion")) not in ("1.2", "1.3", "TLS1_2", "TLS1_3"):
            yield resource, "it takes old TLS: set minimumTlsVersion to 1.2 (TLS1_2 for storage)"
    for account in stack.of(STORAGE):
        if account.props.get("enableHttpsTrafficOnly") is False:
            yield account, "it takes plain HTTP: leave enableHttpsTrafficOnly=False out"
    for app in stack.of(APP):
        if app.props.get("httpsOnly") is not True:
            yield app, "it answers without TLS: set httpsOnly"


def _retention(stack: Stack) -> Found:
    for workspace in stack.of(WORKSPACE):
        if not workspace.props.get("retentionInDays"):
            yield workspace, "it has no retention of logs: set retentionInDays"
    for queue in (queue for queue in stack.of(QUEUE) if LIFE not in queue.unknown):
        for dead_letters in stack.of(QUEUE):
            if queue.is_made_of(dead_letters, "forwardDeadLetteredMessagesTo") and _lives(dead_letters) < _lives(queue):
                yield (
                    dead_letters,
                    f"its dead letters expire before {queue.name}'s messages: raise defaultMessageTimeToLive",
                )


def _lives(queue: Resource) -> float:
    life = seconds(queue.props.get(LIFE))
    return float("inf") if life is None else life


def _alarms(stack: Stack) -> Found:
    alerts = list(stack.of(*ALERTS))
    for queue in stack.of(QUEUE):
        name = queue.props.get("queueName")
        if name and not any(alert.mentions(str(name)) or alert.is_made_of(queue) for alert in alerts):
            yield queue, "no alert watches it: make a MetricAlert of its ActiveMessages"


def _timeouts(stack: Stack) -> Found:
    """Compare the locks with the environment of peeklock's functions. Other functions are not checked."""
    locks = {str(setting["name"]): setting.get("value") for app in stack.of(APP) for setting in _settings(app)}
    for queue in stack.of(QUEUE):
        variable = f"PEEKLOCK_{re.sub('[^A-Za-z0-9]', '_', str(queue.props.get('queueName'))).upper()}_LOCK"
        limit, lock = locks.get(variable), seconds(queue.props.get("lockDuration"))
        if limit is not None and lock is not None and lock < min(float(limit), SHORTEST):
            yield (
                queue,
                f"its lock of {lock:g} s ends before it is renewed: raise lockDuration to {min(float(limit), SHORTEST):g} s",
            )


def _deliveries(stack: Stack) -> Found:
    for queue in stack.of(QUEUE, SUBSCRIPTION):
        most = queue.props.get("maxDeliveryCount", DELIVERIES)
        if most < FEWEST_DELIVERIES:
            yield (
                queue,
                f"Service Bus gives a message up after {most:g} deliveries: raise maxDeliveryCount to {quotas.DELIVERIES}",
            )


def _settings(app: Resource) -> list[Any]:
    return list(app.props.get("siteConfig", {}).get("appSettings") or ())


BUS = "https://learn.microsoft.com/azure/service-bus-messaging"

RULES = (
    Rule(
        name="azure-dead-letters",
        cloud="azure",
        why="an expired message becomes a dead letter only if that is enabled",
        source=f"{BUS}/service-bus-dead-letter-queues",
        check=_dead_letters,
        judges=frozenset({LIFE, "deadLetteringOnMessageExpiration"}),
    ),
    Rule(
        name="azure-no-wildcards",
        cloud="azure",
        why="an identity has only the permissions of its consumer, on the resources that it uses",
        source="https://learn.microsoft.com/azure/role-based-access-control/best-practices",
        check=_wildcards,
    ),
    Rule(
        name="azure-no-keys",
        cloud="azure",
        why="a key is a shared password that is rarely changed",
        source=f"{BUS}/disable-local-authentication",
        check=_no_keys,
        judges=frozenset({"disableLocalAuth"}),
    ),
    Rule(
        name="azure-tls-only",
        cloud="azure",
        why="connections are encrypted, with a secure version of the protocol",
        source=f"{BUS}/transport-layer-security-configure-minimum-version",
        check=_tls,
        judges=frozenset({"minimumTlsVersion", "httpsOnly"}),
    ),
    Rule(
        name="azure-retention",
        cloud="azure",
        why="dead letters are kept longer than messages; the retention of logs is set explicitly",
        source="https://learn.microsoft.com/azure/azure-monitor/logs/data-retention-configure",
        check=_retention,
        judges=frozenset({"retentionInDays", LIFE}),
    ),
    Rule(
        name="azure-alarms",
        cloud="azure",
        why="without alarms nobody notices a stalled queue or a dead letter",
        source=f"{BUS}/monitor-service-bus-reference",
        check=_alarms,
    ),
    Rule(
        name="azure-timeouts",
        cloud="azure",
        why="a message whose lock ends while it is handled is handled a second time",
        source=f"{BUS}/message-transfers-locks-settlement",
        check=_timeouts,
    ),
    Rule(
        name="azure-deliveries",
        cloud="azure",
        why="Service Bus also counts deliveries that never ran a handler, and polls, and dead-letters without a reason",
        source=f"{BUS}/service-bus-dead-letter-queues",
        check=_deliveries,
        judges=frozenset({"maxDeliveryCount"}),
    ),
)
