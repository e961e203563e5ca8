"""Rules of Azure."""

from __future__ import annotations

from collections.abc import Mapping

from cloudqueues.pulumi.rules import azure_alarms
from cloudqueues.pulumi.rules.checks import (
    Rule,
    Values,
    Violations,
    absent,
    duration_within,
    matches,
    one_of,
    only_if,
    rule,
    seconds,
    values_at,
    within,
)
from peeklock.quotas import azure as quotas

NAMES = "https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules"
QUOTAS = "https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas"
LOCKS = "https://learn.microsoft.com/azure/service-bus-messaging/message-transfers-locks-settlement"
DUPLICATES = "https://learn.microsoft.com/azure/service-bus-messaging/duplicate-detection"
FLEX = "https://learn.microsoft.com/azure/azure-functions/flex-consumption-plan"
DEPRECATED = (
    "https://learn.microsoft.com/azure/azure-functions/functions-app-settings#flex-consumption-plan-considerations"
)

REFUSED_SETTINGS = frozenset(
    {
        "ENABLE_ORYX_BUILD",
        "FUNCTIONS_EXTENSION_VERSION",
        "FUNCTIONS_MAX_HTTP_CONCURRENCY",
        "FUNCTIONS_WORKER_DYNAMIC_CONCURRENCY_ENABLED",
        "FUNCTIONS_WORKER_PROCESS_COUNT",
        "FUNCTIONS_WORKER_RUNTIME",
        "FUNCTIONS_WORKER_RUNTIME_VERSION",
        "SCM_DO_BUILD_DURING_DEPLOYMENT",
        "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING",
        "WEBSITE_CONTENTOVERVNET",
        "WEBSITE_CONTENTSHARE",
        "WEBSITE_DNS_SERVER",
        "WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT",
        "WEBSITE_NODE_DEFAULT_VERSION",
        "WEBSITE_RUN_FROM_PACKAGE",
        "WEBSITE_SKIP_CONTENTSHARE_VALIDATION",
        "WEBSITE_VNET_ROUTE_ALL",
    }
)
REFUSED_CONFIG = (
    "alwaysOn",
    "ftpsState",
    "functionAppScaleLimit",
    "javaVersion",
    "linuxFxVersion",
    "minimumElasticInstanceCount",
    "netFrameworkVersion",
    "nodeVersion",
    "numberOfWorkers",
    "phpVersion",
    "powerShellVersion",
    "preWarmedInstanceCount",
    "pythonVersion",
    "use32BitWorkerProcess",
    "vnetRouteAllEnabled",
    "windowsFxVersion",
)
"""See DEPRECATED."""


def _flex(inputs: Values) -> bool:
    return bool(inputs.get("functionAppConfig"))


def _settings(inputs: Values) -> Violations:
    for place, name in values_at(inputs, "siteConfig.appSettings.name"):
        if name in REFUSED_SETTINGS:
            yield place, name


def _expires_sooner(inputs: Values) -> Violations:
    """A queue that is deleted when it is idle for less than five minutes."""
    idle = inputs.get("autoDeleteOnIdle")
    if idle is not None and (seconds(idle) or 0) < quotas.LEAST_IDLE_SECONDS:
        yield "autoDeleteOnIdle", idle


def _own_dead_letters(inputs: Values) -> Violations:
    for key in ("forwardTo", "forwardDeadLetteredMessagesTo"):
        if inputs.get(key) and inputs.get(key) == inputs.get("queueName"):
            yield key, inputs[key]


def _name_rule(path: str, words: str, pattern: str) -> Rule:
    return Rule(words=f"{words}, what the engine adds included", source=NAMES, check=matches(path, pattern))


LENT = (
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
WINDOW = rule(
    f"duplicates are detected for {quotas.LEAST_DUPLICATES_SECONDS} to {quotas.DUPLICATES_SECONDS:,} s",
    DUPLICATES,
    duration_within("duplicateDetectionHistoryTimeWindow", quotas.LEAST_DUPLICATES_SECONDS, quotas.DUPLICATES_SECONDS),
)
ENTITY_NAME = r"[A-Za-z0-9](?:[\w./~-]{0,258}[A-Za-z0-9])?"

RULES: Mapping[str, tuple[Rule, ...]] = {
    "servicebus:Namespace": (
        _name_rule(
            "namespaceName",
            "a namespace's name has 6 to 50 letters, digits and hyphens, and begins with a letter",
            r"[A-Za-z][A-Za-z0-9-]{4,48}[A-Za-z0-9]",
        ),
    ),
    "servicebus:Queue": (
        _name_rule("queueName", "a queue's name has 1 to 260 characters and ends with a letter or digit", ENTITY_NAME),
        *LENT,
        WINDOW,
        rule(
            "an entity does not forward to itself",
            QUOTAS,
            _own_dead_letters,
            "queueName",
            "forwardTo",
            "forwardDeadLetteredMessagesTo",
        ),
    ),
    "servicebus:Topic": (
        _name_rule("topicName", "a topic's name has 1 to 260 characters and ends with a letter or digit", ENTITY_NAME),
        WINDOW,
    ),
    "servicebus:Subscription": (
        _name_rule(
            "subscriptionName",
            "a subscription's name has 1 to 50 characters",
            r"[A-Za-z0-9](?:[\w.-]{0,48}[A-Za-z0-9])?",
        ),
        *LENT,
    ),
    "storage:StorageAccount": (
        _name_rule("accountName", "an account's name has 3 to 24 small letters and digits", r"[a-z0-9]{3,24}"),
    ),
    "storage:BlobContainer": (
        _name_rule(
            "containerName",
            "a container's name has 3 to 63 small letters, digits and single hyphens",
            r"[a-z0-9](?!.*--)[a-z0-9-]{1,61}[a-z0-9]",
        ),
    ),
    "storage:Table": (
        _name_rule("tableName", "a table's name has 3 to 63 letters and digits", r"[A-Za-z][A-Za-z0-9]{2,62}"),
    ),
    "web:AppServicePlan": (
        _name_rule("name", "a plan's name has 1 to 60 letters, digits and hyphens", r"[A-Za-z0-9-]{1,60}"),
    ),
    "web:WebApp": (
        _name_rule(
            "name", "an app's name has 2 to 60 letters, digits and hyphens", r"[A-Za-z0-9][A-Za-z0-9-]{0,58}[A-Za-z0-9]"
        ),
        rule("Flex Consumption refuses this app setting", DEPRECATED, only_if(_flex, _settings)),
        *(
            rule("Flex Consumption refuses this property", DEPRECATED, only_if(_flex, absent(f"siteConfig.{one}")))
            for one in REFUSED_CONFIG
        ),
        rule(
            f"an instance of Flex Consumption has one of {quotas.FLEX_MEGABYTES} MB",
            FLEX,
            one_of("functionAppConfig.scaleAndConcurrency.instanceMemoryMB", *quotas.FLEX_MEGABYTES),
        ),
        rule(
            f"an app on Flex Consumption has 1 to {quotas.FLEX_INSTANCES:,} instances",
            FLEX,
            within("functionAppConfig.scaleAndConcurrency.maximumInstanceCount", 1, quotas.FLEX_INSTANCES),
        ),
    ),
    **azure_alarms.RULES,
    "operationalinsights:Workspace": (
        _name_rule(
            "workspaceName",
            "a workspace's name has 4 to 63 letters, digits and hyphens",
            r"[A-Za-z0-9][A-Za-z0-9-]{2,61}[A-Za-z0-9]",
        ),
        rule(
            f"a workspace retains for {quotas.LEAST_LOG_DAYS} to {quotas.LOG_DAYS} days",
            "https://learn.microsoft.com/azure/azure-monitor/logs/data-retention-configure",
            within("retentionInDays", quotas.LEAST_LOG_DAYS, quotas.LOG_DAYS),
        ),
    ),
}
