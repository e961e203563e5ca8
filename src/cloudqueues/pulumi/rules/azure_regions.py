"""Rules of regions and resource groups."""

from __future__ import annotations

from collections.abc import Mapping

from cloudqueues.pulumi.rules.azure_servicebus import name_rule
from cloudqueues.pulumi.rules.checks import Rule, rule, where
from cloudqueues.quotas import azure as quotas

REGIONS = "https://learn.microsoft.com/azure/reliability/regions-list"


def _is_region(text: str) -> bool:
    return "".join(text.split()).lower() in quotas.REGIONS


LOCATION = rule("there is no such region", REGIONS, where("location", lambda text: _is_region(str(text))))

LOCATED = (
    "applicationinsights:Component",
    "managedidentity:UserAssignedIdentity",
    "monitor:ActionGroup",
    "monitor:MetricAlert",
    "monitor:ScheduledQueryRule",
    "operationalinsights:Workspace",
    "portal:Dashboard",
    "resources:ResourceGroup",
    "servicebus:Namespace",
    "storage:StorageAccount",
    "web:AppServicePlan",
    "web:WebApp",
)
"""Types that have a location."""

RULES: Mapping[str, tuple[Rule, ...]] = {
    **dict.fromkeys(LOCATED, (LOCATION,)),
    "resources:ResourceGroup": (
        LOCATION,
        name_rule(
            "resourceGroupName",
            f"a group's name has 1 to {quotas.GROUP_NAME} letters, digits, underscores, hyphens, periods and parentheses,"
            " and does not end with a period",
            rf"[\w.()-]{{0,{quotas.GROUP_NAME - 1}}}[\w()-]",
        ),
    ),
}
