"""Rules of storage, Functions on Flex Consumption and Log Analytics, and those of Service Bus and Azure Monitor."""

from __future__ import annotations

from collections.abc import Mapping

from cloudqueues.pulumi.rules import azure_alarms, azure_servicebus
from cloudqueues.pulumi.rules.azure_parents import PARENT
from cloudqueues.pulumi.rules.azure_servicebus import name_rule
from cloudqueues.pulumi.rules.checks import (
    Rule,
    Values,
    Violations,
    absent,
    first,
    one_of,
    only_if,
    rule,
    values_at,
    within,
)
from cloudqueues.quotas import azure as quotas

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
"""App settings, whose names ignore case. See DEPRECATED."""
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
"""Properties of an app's `siteConfig`. See DEPRECATED."""


def _flex(inputs: Values) -> bool:
    return bool(inputs.get("functionAppConfig"))


def _on_flex(inputs: Values) -> bool:
    return bool(first(inputs, f"{PARENT}.functionAppConfig"))


def _settings(inputs: Values) -> Violations:
    for place, name in values_at(inputs, "siteConfig.appSettings.name"):
        if str(name).upper() in REFUSED_SETTINGS:
            yield place, name


def _subnet(inputs: Values) -> Violations:
    subnet = inputs.get("virtualNetworkSubnetId")
    if isinstance(subnet, str) and "_" in subnet.rpartition("/")[2]:
        yield "virtualNetworkSubnetId", subnet


def _properties(inputs: Values) -> Violations:
    properties = inputs.get("properties")
    for name in properties if isinstance(properties, Mapping) else ():
        if name.upper() in REFUSED_SETTINGS:
            yield f"properties.{name}", name


RULES: Mapping[str, tuple[Rule, ...]] = {
    **azure_servicebus.RULES,
    "storage:StorageAccount": (
        name_rule("accountName", "an account's name has 3 to 24 lowercase letters and digits", r"[a-z0-9]{3,24}"),
    ),
    "storage:BlobContainer": (
        name_rule(
            "containerName",
            "a container's name has 3 to 63 lowercase letters, digits and single hyphens",
            r"[a-z0-9](?!.*--)[a-z0-9-]{1,61}[a-z0-9]",
        ),
    ),
    "storage:Table": (
        name_rule("tableName", "a table's name has 3 to 63 letters and digits", r"[A-Za-z][A-Za-z0-9]{2,62}"),
    ),
    "web:AppServicePlan": (
        name_rule("name", "a plan's name has 1 to 60 letters, digits and hyphens", r"[A-Za-z0-9-]{1,60}"),
    ),
    "web:WebApp": (
        name_rule(
            "name", "an app's name has 2 to 60 letters, digits and hyphens", r"[A-Za-z0-9][A-Za-z0-9-]{0,58}[A-Za-z0-9]"
        ),
        rule("Flex Consumption refuses this app setting", DEPRECATED, only_if(_flex, _settings)),
        rule("Flex Consumption takes no subnet with an underscore in its name", FLEX, only_if(_flex, _subnet)),
        *(
            rule("Flex Consumption refuses this property", DEPRECATED, only_if(_flex, absent(f"siteConfig.{name}")))
            for name in REFUSED_CONFIG
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
    "web:WebAppApplicationSettings": (
        rule("Flex Consumption refuses this app setting", DEPRECATED, only_if(_on_flex, _properties)),
    ),
    **azure_alarms.RULES,
    "operationalinsights:Workspace": (
        name_rule(
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
